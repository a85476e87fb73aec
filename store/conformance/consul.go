package conformance

import (
	"fmt"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// Binary is the real Consul that this machine has for tests: the one that PLATYPUS_TEST_CONSUL names, the one that
// scripts/consul builds, or the one on PATH. "" means that there is none.
func Binary() string {
	if path := os.Getenv("PLATYPUS_TEST_CONSUL"); path != "" {
		return path
	}
	if cache, err := os.UserCacheDir(); err == nil {
		built, _ := filepath.Glob(filepath.Join(cache, "platypus", "consul-*", "consul"))
		if len(built) > 0 {
			return built[len(built)-1]
		}
	}
	path, _ := exec.LookPath("consul")
	return path
}

// StartConsul runs a real Consul as a single server with its data on disk for the time of a test, on ports of its own
// on 127.0.0.1, and returns its HTTP address. Without a binary it skips the test and says so.
func StartConsul(t testing.TB) string {
	t.Helper()
	binary := Binary()
	if binary == "" {
		t.Skip("no Consul here: build scripts/consul, or name one in PLATYPUS_TEST_CONSUL")
	}
	dir := t.TempDir()
	ports := freePorts(t, 3)
	config := fmt.Sprintf(`{"server":true,"bootstrap_expect":1,"bind_addr":"127.0.0.1","data_dir":%q,"node_name":"n1",
		"disable_update_check":true,"log_level":"error","performance":{"raft_multiplier":1},"limits":{"http_max_conns_per_client":15000},
		"ports":{"http":%d,"server":%d,"serf_lan":%d,"serf_wan":-1,"dns":-1,"grpc":-1,"grpc_tls":-1,"https":-1}}`,
		filepath.Join(dir, "data"), ports[0], ports[1], ports[2])
	file := filepath.Join(dir, "consul.json")
	if err := os.WriteFile(file, []byte(config), 0o600); err != nil {
		t.Fatal(err)
	}
	var output strings.Builder
	cmd := exec.Command(binary, "agent", "-config-file", file)
	cmd.Stdout, cmd.Stderr = &output, &output
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
	})
	addr := fmt.Sprintf("127.0.0.1:%d", ports[0])
	if !leads(addr) {
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
		t.Fatalf("Consul found no leader:\n%s", &output)
	}
	return addr
}

// leads waits until a Consul has elected itself and knows its own node, which sessions need.
func leads(addr string) bool {
	s := &server{addr: addr, http: http.DefaultClient}
	for end := time.Now().Add(2 * hang); time.Now().Before(end); time.Sleep(100 * time.Millisecond) {
		a, err := s.try("GET", "/v1/health/state/passing", "")
		if err == nil && a.code == http.StatusOK && strings.Contains(a.body, "serfHealth") {
			return true
		}
	}
	return false
}

// freePorts finds ports that nobody listened on a moment ago.
func freePorts(t testing.TB, n int) []int {
	t.Helper()
	var ports []int
	for range n {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		defer l.Close()
		ports = append(ports, l.Addr().(*net.TCPAddr).Port)
	}
	return ports
}
