package acl_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

const root = "11111111-1111-1111-1111-111111111111" // the management token

// consul is a real server with ACLs on and a default of deny. Its node is web1.
type consul struct {
	t    *testing.T
	addr string
}

func startConsul(t *testing.T, keyList bool) consul {
	t.Helper()
	program, err := exec.LookPath("consul")
	if err != nil {
		home, _ := os.UserHomeDir()
		program = filepath.Join(home, ".cache/platypus/consul-1.16.1/consul")
		if cache := os.Getenv("PLATYPUS_CACHE"); cache != "" {
			program = filepath.Join(cache, "consul-1.16.1/consul")
		}
		if _, err := os.Stat(program); err != nil {
			t.Skip("no consul on PATH nor in the cache: run scripts/consul/build.sh")
		}
	}
	ports := freePorts(t, 3)
	config := fmt.Sprintf(`{"acl": {"enabled": true, "default_policy": "deny", "enable_key_list_policy": %t,
		"tokens": {"initial_management": %q, "agent": %q}},
		"ports": {"http": %d, "server": %d, "serf_lan": %d, "serf_wan": -1, "dns": -1, "grpc": -1, "grpc_tls": -1}}`,
		keyList, root, root, ports[0], ports[1], ports[2])
	file := filepath.Join(t.TempDir(), "acl.json")
	if err := os.WriteFile(file, []byte(config), 0o600); err != nil {
		t.Fatal(err)
	}
	var log bytes.Buffer
	cmd := exec.Command(program, "agent", "-dev", "-node", "web1", "-bind", "127.0.0.1", "-config-file", file)
	cmd.Stdout, cmd.Stderr = &log, &log
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		cmd.Process.Kill()
		cmd.Wait()
		if t.Failed() {
			t.Logf("consul said last:\n%s", log.Bytes()[max(0, log.Len()-2000):])
		}
	})
	c := consul{t, fmt.Sprintf("http://127.0.0.1:%d", ports[0])}
	c.wait()
	return c
}

func freePorts(t *testing.T, n int) (ports []int) {
	for range n {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		defer l.Close() // all are held until the last is known, so that they differ
		ports = append(ports, l.Addr().(*net.TCPAddr).Port)
	}
	return ports
}

// wait returns when the server has a leader, knows the management token, and its own node.
func (c consul) wait() {
	for end := time.Now().Add(time.Minute); ; time.Sleep(100 * time.Millisecond) {
		code, body, err := c.try(root, "GET", "/v1/catalog/node/web1", "")
		if code == http.StatusOK && strings.Contains(body, "web1") {
			return
		}
		if time.Now().After(end) {
			c.t.Fatalf("consul is not ready after a minute: %d %s %v", code, body, err)
		}
	}
}

func (c consul) try(token, method, path, body string) (code int, answer string, err error) {
	req, err := http.NewRequest(method, c.addr+path, strings.NewReader(body))
	if err != nil {
		return 0, "", err
	}
	req.Header.Set("X-Consul-Token", token)
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return 0, "", err
	}
	defer resp.Body.Close()
	data, err := io.ReadAll(resp.Body)
	return resp.StatusCode, string(data), err
}

func (c consul) do(token, method, path, body string) (int, string) {
	c.t.Helper()
	code, answer, err := c.try(token, method, path, body)
	if err != nil {
		c.t.Fatal(err)
	}
	return code, answer
}

// must is do for what the test itself needs.
func (c consul) must(method, path, body string) string {
	c.t.Helper()
	code, answer := c.do(root, method, path, body)
	if code != http.StatusOK {
		c.t.Fatalf("%s %s: %d %s", method, path, code, answer)
	}
	return answer
}

// token makes a token that has these rules and no others.
func (c consul) token(rules string) string {
	c.t.Helper()
	text, _ := json.Marshal(rules)
	name := fmt.Sprintf("p%d", time.Now().UnixNano())
	c.must("PUT", "/v1/acl/policy", fmt.Sprintf(`{"Name": %q, "Rules": %s}`, name, text))
	var made struct{ SecretID string }
	answer := c.must("PUT", "/v1/acl/token", fmt.Sprintf(`{"Policies": [{"Name": %q}]}`, name))
	if err := json.Unmarshal([]byte(answer), &made); err != nil {
		c.t.Fatal(err)
	}
	return made.SecretID
}
