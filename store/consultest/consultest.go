// Package consultest runs real Consul servers for the time of a test: one, or a cluster that elects its leader, which
// can be killed and started again. It uses the standard library alone, so that tests of any module may import it.
package consultest

import (
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
)

// Binary returns the real Consul that this machine has for tests: the one that PLATYPUS_TEST_CONSUL names, the one on
// PATH, or the one that scripts/consul has built. "" means that there is none.
func Binary() string {
	if path := os.Getenv("PLATYPUS_TEST_CONSUL"); path != "" {
		return path
	}
	if path, err := exec.LookPath("consul"); err == nil {
		return path
	}
	cache := os.Getenv("PLATYPUS_CACHE")
	if dir, err := os.UserCacheDir(); cache == "" && err == nil {
		cache = filepath.Join(dir, "platypus")
	}
	built, _ := filepath.Glob(filepath.Join(cache, "consul-*", "consul"))
	if len(built) == 0 {
		return ""
	}
	return built[len(built)-1]
}

// Need returns [Binary], and skips the test without it.
func Need(t testing.TB) string {
	t.Helper()
	binary := Binary()
	if binary == "" {
		t.Skip("needs consul: run scripts/consul/build.sh, or name one in PLATYPUS_TEST_CONSUL")
	}
	return binary
}

// Config says what a server is like; the zero value is one in memory that allows everything.
type Config struct {
	Node   string         // its name; default: n1
	Data   string         // directory; empty keeps everything in memory, so that a killed server comes back empty
	Socket string         // path of a socket that it answers at, in place of a port: one that other networks reach, too
	Token  string         // the token that may do everything: access rules are on then, and deny by default
	More   map[string]any // further settings, by their names in Consul's configuration
}

// Start returns a server that has elected itself and knows its own node, which sessions need. It ends with the test.
func Start(t testing.TB, c Config) *Server {
	t.Helper()
	s := newServer(t, c, "127.0.0.1")
	s.Start()
	s.Ready()
	return s
}

// StartCluster returns n servers that have a leader, with their data on disk, on 127.0.0.1 and the addresses after it.
// Their nodes are n1, n2 and so on.
func StartCluster(t testing.TB, n int) []*Server {
	t.Helper()
	var servers []*Server
	var join []string
	for i := range n {
		s := newServer(t, Config{Node: fmt.Sprintf("n%d", i+1), Data: t.TempDir()}, fmt.Sprintf("127.0.0.%d", i+1))
		join = append(join, fmt.Sprintf("%s:%d", s.bind, s.ports[2]))
		servers = append(servers, s)
	}
	for _, s := range servers {
		s.settings["bootstrap_expect"], s.settings["retry_join"], s.settings["retry_interval"] = n, join, "1s"
		s.Start()
	}
	for _, s := range servers {
		s.Ready()
	}
	return servers
}

func newServer(t testing.TB, c Config, bind string) *Server {
	t.Helper()
	if c.Node == "" {
		c.Node = "n1"
	}
	s := &Server{t: t, binary: Need(t), token: c.Token, bind: bind}
	for i, port := range FreePorts(t, len(s.ports)) {
		s.ports[i] = port
	}
	s.Addr = fmt.Sprintf("127.0.0.1:%d", s.ports[0])
	s.settings = map[string]any{
		"node_name": c.Node, "bind_addr": bind, "client_addr": "127.0.0.1", "log_level": "warn", "disable_update_check": true,
		"ports": map[string]int{"http": s.ports[0], "server": s.ports[1], "serf_lan": s.ports[2], "serf_wan": -1, "dns": -1, "grpc": -1, "grpc_tls": -1},
	}
	if c.Data == "" {
		s.args = []string{"-dev"}
	} else {
		s.settings["server"], s.settings["bootstrap_expect"], s.settings["data_dir"] = true, 1, c.Data
		s.settings["performance"] = map[string]int{"raft_multiplier": 1}
	}
	if c.Token != "" {
		s.settings["acl"] = map[string]any{"enabled": true, "default_policy": "deny",
			"tokens": map[string]string{"initial_management": c.Token, "agent": c.Token}}
	}
	if c.Socket != "" {
		s.Addr = unixScheme + c.Socket
		s.settings["addresses"] = map[string]any{"http": s.Addr}
	}
	for name, value := range c.More {
		merge(s.settings, name, value)
	}
	s.file = filepath.Join(t.TempDir(), "consul.json")
	t.Cleanup(s.end)
	return s
}

// merge sets a setting, and within a group that is there already only what it names.
func merge(to map[string]any, name string, value any) {
	more, isGroup := value.(map[string]any)
	group, known := to[name].(map[string]any)
	if !isGroup || !known {
		to[name] = value
		return
	}
	for name, value := range more {
		merge(group, name, value)
	}
}

func (s *Server) writeSettings() error {
	text, err := json.Marshal(s.settings)
	if err != nil {
		return err
	}
	return os.WriteFile(s.file, text, 0o600)
}
