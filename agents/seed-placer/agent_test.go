package main

import (
	"bytes"
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/testscript"

	"github.com/platypus-platform/platypus/agents/internal/testhost"
	"github.com/platypus-platform/platypus/agents/seed-placer/fixture"
	"github.com/platypus-platform/platypus/store/embedtest"
)

// hang is how long a test waits for what happens within seconds.
const hang = 5 * time.Minute

func TestMain(m *testing.M) {
	testscript.Main(&suite{m}, map[string]func(){"seed-placer": main, "plain-http": plainHTTP})
}

// suite is all tests. Most of them wait for processes most of the time, so that more may do so at once than there are
// processors; and what the nodes of one have compiled, those of others need not.
type suite struct{ *testing.M }

// compiled is the folder of compiled code of all nodes that tests start.
var compiled string

// Run implements testscript.TestingM.
func (s *suite) Run() int {
	dir, err := os.MkdirTemp("", "seeds-compiled-")
	if err == nil {
		err = flag.Set("test.parallel", "4")
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	defer os.RemoveAll(dir)
	compiled = dir
	return s.M.Run()
}

// stores start a store for as long as the test runs and return its address.
var stores = map[string]func(testing.TB) string{
	"embedded": embedtest.Start, "consul": func(t testing.TB) string { return testhost.Consul(t, "seeds") },
}

// TestStories runs the scripts of testdata, on each store.
func TestStories(t *testing.T) {
	t.Parallel()
	modules := map[string][]byte{"hello.wasm": fixture.Go(t, "hello"), "page.wasm": fixture.Go(t, "page"), "reactor.wasm": fixture.Go(t, "reactor+")}
	for name, start := range stores {
		t.Run(name, func(t *testing.T) {
			address := start(t)
			testscript.Run(t, testscript.Params{
				Dir: "testdata",
				Setup: func(e *testscript.Env) error {
					for file, module := range modules {
						if err := os.WriteFile(filepath.Join(e.WorkDir, file), module, 0o644); err != nil {
							return err
						}
					}
					sockets, err := os.MkdirTemp("", "seeds-") // the path of a socket must be short
					e.Defer(func() { _ = os.RemoveAll(sockets) })
					e.Setenv("CONSUL_HTTP_ADDR", address)
					e.Setenv("PLATYPUS_ROOT", fmt.Sprintf("test-%d/", time.Now().UnixNano()))
					e.Setenv("PLATYPUS_SEED_SOCKET", filepath.Join(sockets, "s"))
					e.Setenv("AT", fmt.Sprintf("127.0.0.1:%d", testhost.FreePort(t)))
					e.Setenv("PLATYPUS_STATE_DIR", filepath.Join(e.WorkDir, ".state"))
					e.Setenv("PLATYPUS_NODE", "n1")
					return err
				},
				Cmds: map[string]func(*testscript.TestScript, bool, []string){"kv": kv, "publish": publish, "ask": ask},
			})
		})
	}
}

// kv put KEY VALUE, kv delete KEY, kv until KEY TEXT: below the root, the last until the value holds the text.
func kv(ts *testscript.TestScript, neg bool, args []string) {
	target := "http://" + ts.Getenv("CONSUL_HTTP_ADDR") + "/v1/kv/" + ts.Getenv("PLATYPUS_ROOT") + args[1]
	switch args[0] {
	case "put", "delete":
		method := map[string]string{"put": http.MethodPut, "delete": http.MethodDelete}[args[0]]
		response, said, err := send(http.DefaultClient, method, target, "", strings.Join(args[2:], " "))
		ts.Check(err)
		if response.StatusCode != http.StatusOK {
			ts.Fatalf("%s %s: %s %s", args[0], args[1], response.Status, said)
		}
	case "until":
		for begin := time.Now(); ; time.Sleep(50 * time.Millisecond) {
			_, said, err := send(http.DefaultClient, http.MethodGet, target+"?raw", "", "")
			ts.Check(err)
			if strings.Contains(said, args[2]) != neg {
				return
			}
			if time.Since(begin) > hang {
				ts.Fatalf("%s is %s", args[1], said)
			}
		}
	}
}

// publish FILE SEED [MEMBERS]: what platypus seed does.
func publish(ts *testscript.TestScript, _ bool, args []string) {
	unix := &http.Client{Transport: &http.Transport{DisableKeepAlives: true, DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
		return (&net.Dialer{}).DialContext(ctx, "unix", ts.Getenv("PLATYPUS_SEED_SOCKET"))
	}}}
	members := map[string]any{}
	if len(args) > 2 {
		ts.Check(json.Unmarshal([]byte(strings.Join(args[2:], " ")), &members))
	}
	for begin := time.Now(); ; time.Sleep(50 * time.Millisecond) {
		_, said, err := send(unix, http.MethodPut, "http://node/blob", "", ts.ReadFile(args[0]))
		if err != nil && time.Since(begin) < hang {
			continue
		}
		ts.Check(err)
		var kept struct{ SHA256 string }
		ts.Check(json.Unmarshal([]byte(said), &kept))
		members["source"] = "sha256:" + kept.SHA256
		break
	}
	value, err := json.Marshal(members)
	ts.Check(err)
	kv(ts, false, []string{"put", "intent/seeds/" + args[1], string(value)})
}

// ask STATUS [-H HOST] URL [BODY]: asks until the answer has the status, and prints it.
func ask(ts *testscript.TestScript, _ bool, args []string) {
	want, host := args[0], ""
	if args = args[1:]; args[0] == "-H" {
		host, args = args[1], args[2:]
	}
	method, body := http.MethodGet, ""
	if len(args) > 1 {
		method, body = http.MethodPost, strings.Join(args[1:], " ")
	}
	for begin := time.Now(); ; time.Sleep(50 * time.Millisecond) {
		response, said, err := send(http.DefaultClient, method, "http://"+ts.Getenv("AT")+args[0], host, body)
		if err == nil && fmt.Sprint(response.StatusCode) == want {
			fmt.Fprintf(ts.Stdout(), "%s\n", said)
			for name, values := range response.Header {
				fmt.Fprintf(ts.Stdout(), "%s: %s\n", name, strings.Join(values, ", "))
			}
			return
		}
		if time.Since(begin) > hang {
			ts.Fatalf("%v: %v %s %v", args, response, said, err)
		}
	}
}

func send(client *http.Client, method, target, host, body string) (*http.Response, string, error) {
	request, err := http.NewRequest(method, target, bytes.NewReader([]byte(body)))
	if err != nil {
		return nil, "", err
	}
	request.Host = host
	response, err := client.Do(request)
	if err != nil {
		return nil, "", err
	}
	defer response.Body.Close()
	said, err := io.ReadAll(response.Body)
	return response, string(said), err
}
