package store_test

import (
	"flag"
	"fmt"
	"math/rand/v2"
	"os"
	"runtime"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/platypus-platform/platypus/intent"
	"github.com/platypus-platform/platypus/store"
	"github.com/platypus-platform/platypus/store/consultest"
	"github.com/platypus-platform/platypus/store/embedtest"
)

// hang is longer than any step takes unless something hangs. A blocking query is cut off after 26 s in tests, otherwise
// after 74 s.
const hang = 4 * time.Minute

func TestMain(m *testing.M) {
	flag.Parse()
	if many := flag.Lookup("test.parallel").Value; many.String() == fmt.Sprint(runtime.GOMAXPROCS(0)) {
		_ = many.Set("8") // parallel tests mostly wait, some for more than a minute
	}
	if os.Getenv("PLATYPUS_FAULTS") == "" {
		store.WatchesWait(15 * time.Second)
	}
	code := m.Run()
	shared.Stop()
	if code == 0 {
		// The client keeps idle connections for its next request; everything else must be gone.
		if err := goleak.Find(goleak.IgnoreAnyFunction("net/http.(*persistConn).readLoop"), goleak.IgnoreAnyFunction("net/http.(*persistConn).writeLoop")); err != nil {
			fmt.Fprintln(os.Stderr, err)
			code = 1
		}
	}
	os.Exit(code)
}

// shared serves all tests that do not need their own Consul.
var shared consultest.Shared

// each runs a test on the embedded store and on a real Consul, in a tree of its own, in parallel.
func each(t *testing.T, test func(t *testing.T, s *store.Store, tree intent.Tree)) {
	t.Parallel()
	t.Run("embedded", func(t *testing.T) {
		t.Parallel()
		test(t, opened(t, embedtest.Start(t)), anyTree(t))
	})
	t.Run("consul", func(t *testing.T) {
		t.Parallel()
		test(t, opened(t, shared.Addr(t)), anyTree(t))
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
