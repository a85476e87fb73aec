package store_test

import (
	"context"
	"fmt"
	"math/rand/v2"
	"net"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/platypus-platform/platypus/intent"
	"github.com/platypus-platform/platypus/store"
	"github.com/platypus-platform/platypus/store/embedded"
)

// hang is what nothing here may take unless something hangs; a blocking query is cut off after 74 s.
const hang = 150 * time.Second

func TestMain(m *testing.M) {
	code := m.Run()
	shared.stop()
	if code == 0 {
		// Idle connections of the client are kept for its next request; everything else must be gone.
		if err := goleak.Find(goleak.IgnoreAnyFunction("net/http.(*persistConn).readLoop"), goleak.IgnoreAnyFunction("net/http.(*persistConn).writeLoop")); err != nil {
			fmt.Fprintln(os.Stderr, err)
			code = 1
		}
	}
	os.Exit(code)
}

// consulPath returns the real Consul, or why there is none.
func consulPath() (string, error) {
	if path := os.Getenv("PLATYPUS_TEST_CONSUL"); path != "" {
		return path, nil
	}
	if path, err := exec.LookPath("consul"); err == nil {
		return path, nil
	}
	cache, err := os.UserCacheDir()
	if err != nil {
		return "", err
	}
	path := filepath.Join(cache, "platypus", "consul-1.16.1", "consul")
	_, err = os.Stat(path)
	return path, err
}

// consul is a real Consul in memory that can be started anew, empty, at the same address.
type consul struct {
	path  string
	extra string
	ports [3]int
	cmd   *exec.Cmd
}

func newConsul(extra string) (*consul, error) {
	path, err := consulPath()
	if err != nil {
		return nil, fmt.Errorf("no consul to test against: %w: set PLATYPUS_TEST_CONSUL", err)
	}
	c := &consul{path: path, extra: extra}
	for i := range c.ports {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			return nil, err
		}
		defer l.Close()
		c.ports[i] = l.Addr().(*net.TCPAddr).Port
	}
	return c, nil
}

func (c *consul) addr() string { return fmt.Sprintf("127.0.0.1:%d", c.ports[0]) }

// start returns when the store has a leader.
func (c *consul) start(ctx context.Context) error {
	config := fmt.Sprintf("ports { http = %d server = %d serf_lan = %d serf_wan = -1 dns = -1 grpc = -1 grpc_tls = -1 }\n%s",
		c.ports[0], c.ports[1], c.ports[2], c.extra)
	c.cmd = exec.Command(c.path, "agent", "-dev", "-bind", "127.0.0.1", "-log-level", "error", "-hcl", config)
	if err := c.cmd.Start(); err != nil {
		return err
	}
	s, err := store.Open(store.Config{Address: c.addr()})
	if err != nil {
		return err
	}
	for {
		if _, err = s.Leader(ctx); err == nil {
			return nil
		}
		select {
		case <-time.After(50 * time.Millisecond):
		case <-ctx.Done():
			c.stop()
			return err
		}
	}
}

func (c *consul) stop() {
	if c.cmd != nil {
		_ = c.cmd.Process.Kill()
		_ = c.cmd.Wait()
		c.cmd = nil
	}
}

// sharedConsul serves all tests that need no Consul of their own.
type sharedConsul struct {
	once sync.Once
	c    *consul
	err  error
}

var shared sharedConsul

func (s *sharedConsul) addr(t *testing.T) string {
	s.once.Do(func() {
		if s.c, s.err = newConsul(""); s.err == nil {
			ctx, cancel := context.WithTimeout(context.Background(), hang)
			defer cancel()
			s.err = s.c.start(ctx)
		}
	})
	if s.err != nil {
		t.Skip(s.err)
	}
	return s.c.addr()
}

func (s *sharedConsul) stop() {
	if s.c != nil {
		s.c.stop()
	}
}

// fresh is the embedded store, empty, in this process.
func fresh(t testing.TB) *httptest.Server {
	t.Helper()
	s, err := embedded.Open(t.TempDir(), embedded.Options{})
	if err != nil {
		t.Fatal(err)
	}
	server := httptest.NewServer(s.Handler())
	t.Cleanup(func() {
		server.CloseClientConnections()
		server.Close()
		_ = s.Close()
	})
	return server
}

// each runs a test on the embedded store and on a real Consul, in a tree of its own.
func each(t *testing.T, test func(t *testing.T, s *store.Store, tree intent.Tree)) {
	t.Run("embedded", func(t *testing.T) {
		test(t, opened(t, fresh(t).URL), anyTree(t))
	})
	t.Run("consul", func(t *testing.T) {
		test(t, opened(t, shared.addr(t)), anyTree(t))
	})
}

func opened(t testing.TB, address string) *store.Store {
	t.Helper()
	s, err := store.Open(store.Config{Address: address})
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func anyTree(t testing.TB) intent.Tree {
	t.Helper()
	tree, err := intent.ParseRoot(fmt.Sprintf("test-%d", rand.Uint64()))
	if err != nil {
		t.Fatal(err)
	}
	return tree
}

func put(t testing.TB, s *store.Store, key, value string) {
	t.Helper()
	if err := s.Put(t.Context(), key, []byte(value)); err != nil {
		t.Fatal(err)
	}
}

// assign declares an app on node web1, with a version.
func assign(t testing.TB, s *store.Store, tree intent.Tree, app intent.Name, version string) {
	t.Helper()
	put(t, s, tree.Config(app, "c"), fmt.Sprintf(`{"versions":{%q:"active"}}`, version))
	put(t, s, tree.DeployConfig(app, "c"), fmt.Sprintf(`{"basedir":"/srv/%s"}`, app))
	put(t, s, tree.Assignment("web1", app), `{"cluster":"c"}`)
}
