package main

import (
	"fmt"
	"os"
	"path/filepath"
	"testing"

	"github.com/rogpeppe/go-internal/testscript"

	"github.com/platypus-platform/platypus/deploy/acl"
	"github.com/platypus-platform/platypus/store/consultest"
	"github.com/platypus-platform/platypus/store/embedtest"
)

// TestSeeds runs the stories of testdata/seeds with a real seed-placer on this node, on every store there is. The Consul
// denies by default: person and agent have the tokens of deploy/acl, and nothing beyond them.
func TestSeeds(t *testing.T) {
	t.Parallel()
	dir, modules := binaries(t), t.TempDir()
	for file, source := range map[string]string{"hello.wasm": "hello", "reactor.wasm": "reactor+"} {
		write(t, filepath.Join(modules, file), string(buildSeed(t, source)))
	}
	for name, start := range map[string]func(*testing.T) (address, person, agent string){
		"embedded": func(t *testing.T) (string, string, string) { return embedtest.Start(t), "", "" },
		"consul": func(t *testing.T) (string, string, string) {
			address := startGuardedConsul(t)
			return address, token(t, address, acl.Operator, ""), token(t, address, acl.SeedPlacer, "n1")
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			address, person, agent := start(t)
			testscript.Run(t, testscript.Params{Dir: "testdata/seeds", RequireUniqueNames: true, Setup: func(e *testscript.Env) error {
				sockets, err := os.MkdirTemp("", "seeds-") // the path of a socket must be short
				e.Defer(func() { _ = os.RemoveAll(sockets) })
				for name, value := range map[string]string{
					"CONSUL_HTTP_ADDR": address, "PLATYPUS_ROOT": "platypus", "CONSUL_HTTP_TOKEN": person, "AGENT_TOKEN": agent,
					"PLATYPUS_SEED_SOCKET": filepath.Join(sockets, "s"), "AT": vacant(t), "MODULES": modules,
					"PATH": dir + string(os.PathListSeparator) + e.Getenv("PATH"),
				} {
					e.Setenv(name, value)
				}
				return err
			}})
		})
	}
}

// vacant is an address where nobody listens.
func vacant(t testing.TB) string {
	t.Helper()
	return fmt.Sprintf("127.0.0.1:%d", consultest.FreePorts(t, 1)[0])
}
