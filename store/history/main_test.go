package history_test

import (
	"flag"
	"fmt"
	"math/rand/v2"
	"os"
	"runtime"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/platypus-platform/platypus/intent"
	"github.com/platypus-platform/platypus/store"
	"github.com/platypus-platform/platypus/store/consultest"
	"github.com/platypus-platform/platypus/store/embedtest"
	"github.com/platypus-platform/platypus/store/history"
)

func TestMain(m *testing.M) {
	flag.Parse()
	if many := flag.Lookup("test.parallel").Value; many.String() == fmt.Sprint(runtime.GOMAXPROCS(0)) {
		_ = many.Set("6") // parallel tests mostly wait for a disk or a Consul
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

// shared serves all tests: each has a tree of its own.
var shared consultest.Shared

// addresses are where an embedded store of the test's own, and a real Consul, listen.
var addresses = map[string]func(testing.TB) string{
	"embedded": func(t testing.TB) string { return embedtest.Start(t) },
	"consul":   shared.Addr,
}

// each runs a test on the embedded store and on a real Consul, in parallel.
func each(t *testing.T, test func(t *testing.T, w *world)) {
	eachAt(t, func(t *testing.T, address string) { test(t, newWorld(t, address)) })
}

func eachAt(t *testing.T, test func(t *testing.T, address string)) {
	t.Parallel()
	for name, address := range addresses {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			test(t, address(t))
		})
	}
}

// thorough reports whether this is the long run of make faults.
func thorough() bool { return os.Getenv("PLATYPUS_FAULTS") != "" }

// world is a tree of its own in some store.
type world struct {
	*testing.T
	store *store.Store
	tree  intent.Tree
	log   *history.Log
}

func newWorld(t *testing.T, address string) *world {
	s, tree := opened(t, address), anyTree(t)
	return &world{t, s, tree, history.Open(s, tree)}
}

// hang is what nothing here may take unless something hangs.
const hang = 5 * time.Minute

var me = history.Author{Name: "ann@desk", Proof: history.Claimed}

// edit is a put of one value.
func edit(key, value string) history.Edit { return history.Edit{Key: key, Value: []byte(value)} }

func (w *world) commit(message string, edits ...history.Edit) history.Commit {
	w.Helper()
	c, err := w.log.Commit(w.Context(), history.Request{Note: history.Note{Author: me, Via: "test", Message: message}, Edits: edits})
	if err != nil {
		w.Fatal(err)
	}
	return c
}

// plain writes a key without this package.
func (w *world) plain(key, value string) {
	w.Helper()
	if err := w.store.Put(w.Context(), string(w.tree.Intent())+key, []byte(value)); err != nil {
		w.Fatal(err)
	}
}

func (w *world) remove(key string) {
	w.Helper()
	if err := w.store.Delete(w.Context(), string(w.tree.Intent())+key); err != nil {
		w.Fatal(err)
	}
}

func (w *world) observe() []history.Commit {
	w.Helper()
	s, err := w.log.Survey(w.Context())
	if err != nil {
		w.Fatal(err)
	}
	o, err := w.log.Observe(w.Context(), s)
	if err != nil {
		w.Fatal(err)
	}
	return o.Commits
}

// is fails unless a key had a value after a commit; "" for absent.
func (w *world) is(seq uint64, key, want string) {
	w.Helper()
	v, found, err := w.log.Get(w.Context(), key, seq)
	if err != nil || found != (want != "") || string(v.Data) != want {
		w.Fatalf("%s@%d is %.80q (%v), %v, want %.80q", key, seq, v.Data, found, err, want)
	}
}

// all reads the log from oldest to newest, with values.
func (w *world) all(q history.Query) (commits []history.Commit) {
	w.Helper()
	q.Oldest, q.Values = true, true
	for c, err := range history.Open(w.store, w.tree).Commits(w.Context(), q) {
		if err != nil {
			w.Fatal(err)
		}
		commits = append(commits, c)
	}
	return commits
}

// same fails unless the log, replayed by a new reader, equals the live tree byte for byte.
func (w *world) same() {
	w.Helper()
	log := history.Open(w.store, w.tree)
	head, err := log.Head(w.Context())
	if err != nil {
		w.Fatal(err)
	}
	state, err := log.At(w.Context(), head.Seq)
	if err != nil || len(state.Faults) > 0 {
		w.Fatal(err, state.Faults)
	}
	pairs, _, err := w.store.List(w.Context(), w.tree.Intent(), store.Consistent)
	if err != nil {
		w.Fatal(err)
	}
	for _, p := range pairs {
		key, _ := w.tree.Intent().Below(p.Key)
		if v, found := state.Get(key); !found || string(v.Data) != string(p.Value) {
			w.Fatalf("%s is %.80q live, %.80q in the log (%v)", key, p.Value, v.Data, found)
		}
	}
	if state.Len() != len(pairs) {
		w.Fatalf("%d keys live, %d in the log", len(pairs), state.Len())
	}
	w.named(state.Len())
}

// named fails unless the key index holds as many hashes as there are keys, or the head does not claim a complete index.
func (w *world) named(keys int) {
	w.Helper()
	pairs, err := w.store.Together(w.Context(), []string{w.tree.History().Key("head")})
	if err != nil {
		w.Fatal(err)
	}
	if !strings.Contains(string(pairs[0].Value), `"n":true`) {
		return
	}
	shelves, _, err := w.store.List(w.Context(), w.tree.History().Join("names"), store.Consistent)
	if err != nil {
		w.Fatal(err)
	}
	bytes := 0
	for _, p := range shelves {
		bytes += len(p.Value)
	}
	if bytes != 5*keys {
		w.Fatalf("%d bytes of names for %d keys", bytes, keys)
	}
}
