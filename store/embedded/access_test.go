package embedded_test

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/platypus-platform/platypus/store/embedded"
)

// guarded serves a new store on an address until the test ends.
func guarded(t *testing.T, config embedded.Config) (address string) {
	t.Helper()
	ctx, stop := context.WithCancel(context.Background())
	ready, served := make(chan string, 1), make(chan error, 1)
	go func() { served <- embedded.Serve(ctx, config, func(at string) { ready <- at }) }()
	select {
	case address = <-ready:
	case err := <-served:
		t.Fatal(err)
	}
	t.Cleanup(func() {
		stop()
		if err := <-served; err != nil {
			t.Error(err)
		}
	})
	return address
}

// say sends one request with exactly these headers and returns status and body.
func say(t *testing.T, address, method, path, headers string) (int, string) {
	t.Helper()
	conn, err := net.Dial("tcp", address)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	if !strings.Contains(headers, "Content-Length") {
		headers += "Content-Length: 1\r\n"
	}
	fmt.Fprintf(conn, "%s %s HTTP/1.1\r\n%sConnection: close\r\n\r\n1", method, path, headers)
	answer, err := http.ReadResponse(bufio.NewReader(conn), nil)
	if err != nil {
		t.Fatal(err)
	}
	defer answer.Body.Close()
	body, err := io.ReadAll(answer.Body)
	if err != nil {
		t.Fatal(err)
	}
	return answer.StatusCode, string(body)
}

func TestAccess_OverTCP_WantsTokenAndNameOfThisMachine(t *testing.T) {
	t.Parallel()
	data := t.TempDir()
	address := guarded(t, embedded.Config{Data: data, Listen: "127.0.0.1:0"})
	at, err := os.Stat(embedded.TokenFile(data))
	if err != nil || at.Mode().Perm() != 0o600 {
		t.Fatalf("token: %v %v", at, err)
	}
	text, err := os.ReadFile(embedded.TokenFile(data))
	if err != nil {
		t.Fatal(err)
	}
	token := strings.TrimSpace(string(text))
	_, port, _ := net.SplitHostPort(address)
	mine := "Host: " + address + "\r\nX-Consul-Token: " + token + "\r\n"
	const put, get = "PUT /v1/kv/k", "GET /v1/kv/k?raw"
	for _, c := range []struct {
		name, request, headers string
		code                   int
	}{
		{"token of Consul's client", put, mine, 200},
		{"bearer", put, "Host: " + address + "\r\nAuthorization: Bearer " + token + "\r\n", 200},
		{"localhost", get, "Host: localhost:" + port + "\r\nX-Consul-Token: " + token + "\r\n", 200},
		{"other loopback address", get, "Host: [::1]\r\nX-Consul-Token: " + token + "\r\n", 200},
		{"own page", put, mine + "Origin: http://" + address + "\r\nSec-Fetch-Site: same-origin\r\n", 200},
		{"no token", put, "Host: " + address + "\r\n", 403},
		{"no token, read", get, "Host: " + address + "\r\n", 403},
		{"no token, list", "GET /v1/kv/?recurse", "Host: " + address + "\r\n", 403},
		{"no token, absolute", "PUT http://" + address + "/v1/kv/k", "Host: " + address + "\r\n", 403},
		{"no token, unclean path", "PUT /v1/status/leader/../../kv/k", "Host: " + address + "\r\n", 403},
		{"no token, large body", "PUT /v1/session/destroy/x", "Host: " + address + "\r\nContent-Length: 99999999\r\n", 403},
		{"wrong token", put, "Host: " + address + "\r\nX-Consul-Token: " + token + "x\r\n", 403},
		{"empty token", put, "Host: " + address + "\r\nX-Consul-Token: \r\nAuthorization: Bearer \r\n", 403},
		{"token as a parameter", put + "?token=" + token, "Host: " + address + "\r\n", 403},
		{"is it up", "GET /v1/status/leader", "Host: " + address + "\r\n", 200},
		{"rebound name", put, strings.Replace(mine, address, "evil.example:"+port, 1), 421},
		{"rebound name, is it up", "GET /v1/status/leader", "Host: evil.example\r\n", 421},
		{"address of another machine", put, strings.Replace(mine, address, "192.0.2.1", 1), 421},
		{"page of another site", put, mine + "Origin: http://evil.example\r\n", 403},
		{"page without origin", put, mine + "Origin: null\r\n", 403},
		{"page of another port", put, mine + "Origin: http://127.0.0.1:1\r\n", 403},
		{"cross-site", get, mine + "Sec-Fetch-Site: cross-site\r\n", 403},
		{"same-site", get, mine + "Sec-Fetch-Site: same-site\r\n", 403},
	} {
		method, path, _ := strings.Cut(c.request, " ")
		if code, body := say(t, address, method, path, c.headers); code != c.code {
			t.Errorf("%s: %d %s, want %d", c.name, code, body, c.code)
		}
	}
}

func TestAccess_BeyondLoopback_TakesAddressesAndOwnName(t *testing.T) {
	t.Parallel()
	address := guarded(t, embedded.Config{Data: t.TempDir(), Listen: "0.0.0.0:0", NoToken: true})
	_, port, _ := net.SplitHostPort(address)
	name, _ := os.Hostname()
	for host, want := range map[string]int{"192.0.2.1:" + port: 200, name: 200, "localhost": 200, "evil.example": 421} {
		if code, body := say(t, "127.0.0.1:"+port, "PUT", "/v1/kv/k", "Host: "+host+"\r\n"); code != want {
			t.Errorf("%s: %d %s, want %d", host, code, body, want)
		}
	}
}

func TestAccess_TokenFileOpenToOthers_IsRefused(t *testing.T) {
	data := t.TempDir()
	if err := os.WriteFile(embedded.TokenFile(data), []byte("known\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	err := embedded.Serve(t.Context(), embedded.Config{Data: data, Listen: "127.0.0.1:0"}, func(string) { t.Error("it answers") })
	if err == nil || !strings.Contains(err.Error(), "is open to others") {
		t.Errorf("got %v", err)
	}
}

// TestAccess_OfData_IsForItsUserAlone: only the user can read the data, even in a directory readable by others.
func TestAccess_OfData_IsForItsUserAlone(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	if err := os.Chmod(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	guarded(t, embedded.Config{Data: dir, Listen: "unix:" + filepath.Join(dir, "sub", "s.sock")})
	for _, name := range []string{"journal.0", "journal.1", "store.db", "lock", "sub/s.sock"} {
		at, err := os.Stat(filepath.Join(dir, name))
		if err != nil || at.Mode().Perm()&0o007 != 0 || at.Mode().IsRegular() && at.Mode().Perm() != 0o600 {
			t.Errorf("%s: %v %v", name, at.Mode(), err)
		}
	}
}
