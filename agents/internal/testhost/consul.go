package testhost

import (
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

// Consul starts a real Consul agent in its development mode, which ends with the test, and returns its address. It
// is the one on PATH or the one that scripts/consul/build.sh has made; without either the test is skipped.
func Consul(t testing.TB, node string) string {
	t.Helper()
	program, err := exec.LookPath("consul")
	if err != nil {
		cache := os.Getenv("PLATYPUS_CACHE")
		if cache == "" {
			home, _ := os.UserHomeDir()
			cache = filepath.Join(home, ".cache/platypus")
		}
		found, _ := filepath.Glob(filepath.Join(cache, "consul-*", "consul"))
		if len(found) == 0 {
			t.Skip("needs consul on PATH or in the cache: run scripts/consul/build.sh")
		}
		program = found[len(found)-1]
	}
	ports := freePorts(t, 3)
	dir := t.TempDir()
	config := fmt.Sprintf(`{"ports": {"http": %d, "server": %d, "serf_lan": %d, "serf_wan": -1, "dns": -1, "grpc": -1, "grpc_tls": -1}}`,
		ports[0], ports[1], ports[2])
	file := filepath.Join(dir, "ports.json")
	if err := os.WriteFile(file, []byte(config), 0o600); err != nil {
		t.Fatal(err)
	}
	log, err := os.Create(filepath.Join(dir, "log"))
	if err != nil {
		t.Fatal(err)
	}
	defer log.Close()
	cmd := exec.Command(program, "agent", "-dev", "-node", node, "-bind", "127.0.0.1", "-config-file", file, "-log-level", "warn")
	cmd.Stdout, cmd.Stderr = log, log
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
	})
	address := fmt.Sprintf("127.0.0.1:%d", ports[0])
	for end := time.Now().Add(HangLimit); ; time.Sleep(50 * time.Millisecond) {
		response, err := http.Get("http://" + address + "/v1/status/leader")
		if err == nil {
			body, _ := io.ReadAll(response.Body)
			_ = response.Body.Close()
			if response.StatusCode == http.StatusOK && strings.Contains(string(body), ":") {
				return address
			}
		}
		if time.Now().After(end) {
			said, _ := os.ReadFile(log.Name())
			t.Fatalf("consul is not ready: %v\n%s", err, said)
		}
	}
}

// freePorts returns ports on the loopback address that nobody listens on just now.
func freePorts(t testing.TB, n int) (ports []int) {
	t.Helper()
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

// FreePort returns a port on the loopback address that nobody listens on just now.
func FreePort(t testing.TB) int {
	t.Helper()
	return freePorts(t, 1)[0]
}
