package consultest

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"os/exec"
	"strings"
	"testing"
	"time"
)

// hang is what a server may take for anything, unless it hangs.
const hang = time.Minute

// Server is one Consul server. Its methods fail the test when what they are for cannot be had.
type Server struct {
	Addr string // host:port of its HTTP API, or unix://PATH

	t        testing.TB
	binary   string
	args     []string
	file     string // its settings
	settings map[string]any
	bind     string
	ports    [3]int // HTTP, server, gossip
	token    string
	process
}

// process is the one that runs now, and what all of them have said.
type process struct {
	cmd *exec.Cmd
	out Output
}

// Start starts a server that does not run, at the address that it always has.
func (s *Server) Start() {
	s.t.Helper()
	if err := s.writeSettings(); err != nil {
		s.t.Fatal(err)
	}
	s.cmd = exec.Command(s.binary, append([]string{"agent", "-config-file", s.file}, s.args...)...)
	s.cmd.Stdout, s.cmd.Stderr = &s.out, &s.out
	if err := s.cmd.Start(); err != nil {
		s.cmd = nil
		s.t.Fatal(err)
	}
}

// Kill ends a server without letting it say goodbye. It may be started again.
func (s *Server) Kill() {
	if s.cmd == nil {
		return
	}
	_ = s.cmd.Process.Kill()
	_ = s.cmd.Wait()
	s.cmd = nil
}

func (s *Server) end() {
	s.Kill()
	if s.t.Failed() {
		s.t.Logf("consul at %s said last:\n%s", s.Addr, s.out.Last())
	}
}

// Ready returns when the server follows a leader and its own node is known, and healthy.
func (s *Server) Ready() {
	s.t.Helper()
	name := s.settings["node_name"].(string)
	for end := time.Now().Add(hang); ; time.Sleep(50 * time.Millisecond) {
		code, body, err := s.Ask("GET", "/v1/health/node/"+name, "")
		if err == nil && code == http.StatusOK && strings.Contains(body, `"passing"`) {
			return
		}
		if time.Now().After(end) {
			s.t.Fatalf("consul is not ready after %v: %d %s %v\n%s", hang, code, body, err, s.out.Last())
		}
	}
}

// Leads reports whether the server is the leader, as far as it knows.
func (s *Server) Leads() bool {
	_, body, err := s.Ask("GET", "/v1/status/leader", "")
	return err == nil && body == fmt.Sprintf(`"%s:%d"`, s.bind, s.ports[1])
}

// Ask sends a request with the token that may do everything.
func (s *Server) Ask(method, path, body string) (code int, answer string, err error) {
	return s.AskAs(s.token, method, path, body)
}

// AskAs sends a request with a token.
func (s *Server) AskAs(token, method, path, body string) (code int, answer string, err error) {
	address, isSocket := strings.CutPrefix(s.Addr, unixScheme)
	client := client
	if isSocket {
		client, address = over(address), "consul"
	}
	request, err := http.NewRequest(method, "http://"+address+path, strings.NewReader(body))
	if err != nil {
		return 0, "", err
	}
	request.Header.Set("X-Consul-Token", token)
	response, err := client.Do(request)
	if err != nil {
		return 0, "", err
	}
	defer response.Body.Close()
	data, err := io.ReadAll(response.Body)
	return response.StatusCode, string(data), err
}

// client keeps a connection for a moment only, so that hardly anything of it outlives a test.
var client = &http.Client{Transport: &http.Transport{IdleConnTimeout: time.Second}, Timeout: hang}

// unixScheme begins the address of a server that listens at a path.
const unixScheme = "unix://"

// over is a client of who listens at a path.
func over(socket string) *http.Client {
	dial := func(ctx context.Context, _, _ string) (net.Conn, error) {
		return new(net.Dialer).DialContext(ctx, "unix", socket)
	}
	return &http.Client{Transport: &http.Transport{DialContext: dial, DisableKeepAlives: true}, Timeout: hang}
}

// Must is Ask for what the test itself needs.
func (s *Server) Must(method, path, body string) string {
	s.t.Helper()
	code, answer, err := s.Ask(method, path, body)
	if err != nil || code != http.StatusOK {
		s.t.Fatalf("%s %s: %d %s %v", method, path, code, answer, err)
	}
	return answer
}

// NewToken makes a token that has these rules, in HCL, and no others.
func (s *Server) NewToken(rules string) string {
	s.t.Helper()
	name := fmt.Sprintf("p%d", time.Now().UnixNano())
	s.Must("PUT", "/v1/acl/policy", fmt.Sprintf(`{"Name": %q, "Rules": %q}`, name, rules))
	answer := s.Must("PUT", "/v1/acl/token", fmt.Sprintf(`{"Policies": [{"Name": %q}]}`, name))
	var made struct{ SecretID string }
	if err := json.Unmarshal([]byte(answer), &made); err != nil {
		s.t.Fatal(err)
	}
	return made.SecretID
}

// Pid returns the number of its process.
func (s *Server) Pid() int { return s.cmd.Process.Pid }

// Running reports whether the server was started and not killed since.
func (s *Server) Running() bool { return s.cmd != nil }
