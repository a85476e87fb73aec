package store_test

import (
	"context"
	"fmt"
	"sync/atomic"
	"testing"
	"time"

	"github.com/platypus-platform/platypus/intent"
	"github.com/platypus-platform/platypus/store"
	"github.com/platypus-platform/platypus/store/consultest"
)

// watched watches node web1 and derives its intent from each snapshot.
type watched struct {
	t     testing.TB
	tree  intent.Tree
	from  <-chan store.Snapshot
	ok    atomic.Int64
	wrong atomic.Int64
	err   atomic.Pointer[error]
	anew  bool // the store starts over
	last  store.Snapshot
	back  *string // expected setback; nil where none may be reported
}

func watch(t testing.TB, s *store.Store, tree intent.Tree) *watched {
	w := &watched{t: t, tree: tree}
	ctx, cancel := context.WithCancel(t.Context())
	t.Cleanup(cancel)
	w.from = s.WatchNode(ctx, tree, "web1", func(_ intent.Prefix, err error) {
		if err == nil {
			w.ok.Add(1)
			return
		}
		w.err.Store(&err)
		w.wrong.Add(1)
	})
	return w
}

// until receives snapshots until one satisfies the condition; each one must be complete.
func (w *watched) until(what string, satisfies func(intent.Node) bool) intent.Node {
	w.t.Helper()
	for timeout := time.After(hang); ; {
		select {
		case s := <-w.from:
			node := intent.ReadNode(w.tree, "web1", s.Pairs)
			if why := s.SetBack(w.last, true); why != "" && w.back == nil && !w.anew {
				w.t.Fatalf("nobody restored anything, yet %s", why)
			} else if why != "" && w.back != nil {
				*w.back = why
			}
			w.last = s
			for _, app := range node.Apps {
				if !app.Sound() && !w.anew {
					w.t.Fatalf("half a snapshot: %+v", app)
				}
			}
			if satisfies(node) {
				return node
			}
		case <-timeout:
			w.t.Fatalf("no snapshot with %s", what)
		}
	}
}

func active(app intent.Name, version intent.Name) func(intent.Node) bool {
	return func(n intent.Node) bool {
		a, _ := n.App(app)
		v, _ := a.Config.Active()
		return v == version
	}
}

// quiet fails if anything but a denial is delivered within a while.
func (w *watched) quiet(d time.Duration) {
	w.t.Helper()
	for timeout := time.After(d); ; {
		select {
		case s := <-w.from:
			if len(s.Refused) == 0 {
				w.t.Fatalf("delivered again: %d pairs at %d", len(s.Pairs), s.Index)
			}
		case <-timeout:
			return
		}
	}
}

func TestWatchNode_Changes_AreDelivered(t *testing.T) {
	each(t, func(t *testing.T, s *store.Store, tree intent.Tree) {
		w := watch(t, s, tree)
		w.until("no app", func(n intent.Node) bool { return len(n.Apps) == 0 })
		assign(t, s, tree, "slug", "v1")
		w.until("slug at v1", active("slug", "v1"))
		assign(t, s, tree, "other", "v1")
		w.until("two apps", func(n intent.Node) bool { return len(n.Apps) == 2 })

		put(t, s, tree.Config("slug", "c"), `{"versions":{"v1":"prep","v2":"active"}}`)
		w.until("slug at v2", active("slug", "v2"))

		put(t, s, tree.Config("slug", "c"), `{"versions":{"v1":"prep","v2":"active"}}`) // the same again
		put(t, s, tree.Config("slug", "elsewhere"), `{"versions":{"v9":"active"}}`)
		put(t, s, tree.Assignment("web10", "slug"), `{"cluster":"c"}`)
		w.quiet(time.Second)

		put(t, s, tree.DeployConfig("slug", "elsewhere"), `{"basedir":"/srv/slug"}`)
		put(t, s, tree.Assignment("web1", "slug"), `{"cluster":"elsewhere"}`) // from now on another cluster is watched
		w.until("slug at v9", active("slug", "v9"))
		put(t, s, tree.Config("slug", "c"), `{"versions":{}}`)
		w.quiet(time.Second)

		if err := s.Delete(t.Context(), tree.Assignment("web1", "slug")); err != nil {
			t.Fatal(err)
		}
		w.until("slug gone", func(n intent.Node) bool { _, there := n.App("slug"); return !there && len(n.Apps) == 1 })
		read, err := s.ReadNode(t.Context(), tree, "web1", store.Consistent)
		if n := intent.ReadNode(tree, "web1", read.Pairs); err != nil || len(n.Apps) != 1 || !n.Apps[0].Sound() || read.Index == 0 {
			t.Fatalf("read %+v, %v", n, err)
		}
	})
}

// TestWatchNode_Placements_AreDelivered: an app that the allocator places and removes.
func TestWatchNode_Placements_AreDelivered(t *testing.T) {
	each(t, func(t *testing.T, s *store.Store, tree intent.Tree) {
		w := watch(t, s, tree)
		w.until("no app", func(n intent.Node) bool { return len(n.Apps) == 0 })
		put(t, s, tree.Config("slug", "c"), `{"versions":{"v1":"active"}}`)
		put(t, s, tree.DeployConfig("slug", "c"), `{"basedir":"/srv/slug"}`)
		put(t, s, tree.Placement("web1", "slug"), `{"cluster":"c"}`)
		w.until("slug at v1", active("slug", "v1"))
		if err := s.Delete(t.Context(), tree.Placement("web1", "slug")); err != nil {
			t.Fatal(err)
		}
		w.until("slug gone", func(n intent.Node) bool { return len(n.Apps) == 0 })
	})
}

// TestWatch_Changes_AreDeliveredOnce: each new state is complete, and delivered once.
func TestWatch_Changes_AreDeliveredOnce(t *testing.T) {
	each(t, func(t *testing.T, s *store.Store, tree intent.Tree) {
		ctx, cancel := context.WithCancel(t.Context())
		defer cancel()
		from := s.Watch(ctx, tree.Intent().Join("vms"), func(intent.Prefix, error) {})
		for i := range 4 {
			snapshot := <-from
			if len(snapshot.Pairs) != i || snapshot.Index == 0 {
				t.Fatalf("%d pairs at %d, want %d", len(snapshot.Pairs), snapshot.Index, i)
			}
			put(t, s, tree.Intent().Join("vms").Key(intent.Name(fmt.Sprintf("vm%d", i))), "{}")
			put(t, s, tree.Intent().Join("vmsx").Key("vm"), fmt.Sprintf(`{"i":%d}`, i))
		}
	})
}

// TestWatchNode_ManyClusters_ShareOneWatch counts the watched prefixes: an agent has few connections.
func TestWatchNode_ManyClusters_ShareOneWatch(t *testing.T) {
	each(t, func(t *testing.T, s *store.Store, tree intent.Tree) {
		for i := range 20 {
			assign(t, s, tree, intent.Name(fmt.Sprintf("app%d", i)), "v1")
		}
		prefixes := make(chan intent.Prefix, 1000)
		ctx, cancel := context.WithCancel(t.Context())
		defer cancel()
		snapshots := s.WatchNode(ctx, tree, "web1", func(p intent.Prefix, _ error) { prefixes <- p })
		snapshot := <-snapshots
		if n := intent.ReadNode(tree, "web1", snapshot.Pairs); len(n.Apps) != 20 || !n.Apps[19].Sound() {
			t.Fatalf("%d apps", len(n.Apps))
		}
		put(t, s, tree.Config("app7", "c"), `{"versions":{"v2":"active"}}`)
		select {
		case snapshot = <-snapshots:
		case <-time.After(hang):
			t.Fatal("no news")
		}
		cancel()
		seen := map[intent.Prefix]bool{}
		for len(prefixes) > 0 {
			seen[<-prefixes] = true
		}
		if len(seen) != 3 || !seen[tree.Clusters()] || !seen[tree.Node("web1")] || !seen[tree.Placements("web1")] {
			t.Fatalf("read %v", seen)
		}
	})
}

// TestWatch_StoreRestartedEmpty_StartsOver restarts a Consul without its data: the index goes back, and the state after
// the restart must be delivered, empty or not.
func TestWatch_StoreRestartedEmpty_StartsOver(t *testing.T) {
	t.Parallel()
	c := consultest.Start(t, consultest.Config{})
	s, tree := opened(t, c.Addr), anyTree(t)
	for i := range 50 {
		put(t, s, "elsewhere", fmt.Sprint(i)) // raise the index
	}
	assign(t, s, tree, "slug", "v2")
	w := watch(t, s, tree)
	w.until("slug at v2", active("slug", "v2"))
	before := w.wrong.Load()
	w.anew = true // its prefixes are read one by one: in between an app may look incomplete, and is held
	c.Kill()
	for begin := time.Now(); w.wrong.Load() == before; time.Sleep(10 * time.Millisecond) {
		if time.Since(begin) > hang {
			t.Fatal("the loss is not heard")
		}
	}
	w.quiet(time.Second) // an unreachable store must not cause removals
	c.Start()
	w.until("what an empty store says", func(n intent.Node) bool { return len(n.Apps) == 0 })
	c.Ready()
	assign(t, s, tree, "slug", "v1")
	w.until("slug at v1", active("slug", "v1"))
}

// TestStore_ACLs_DeniedReadIsNotEmpty: a denied read is never an empty result.
func TestStore_ACLs_DeniedReadIsNotEmpty(t *testing.T) {
	t.Parallel()
	c := consultest.Start(t, consultest.Config{Token: "root"})
	ctx, cancel := context.WithTimeout(t.Context(), hang)
	defer cancel()
	root, err := store.Open(store.Config{Address: c.Addr, Token: "root"})
	if err != nil {
		t.Fatal(err)
	}
	tree := anyTree(t)
	assign(t, root, tree, "slug", "v1")
	nobody := opened(t, c.Addr)
	if _, _, err := nobody.Get(ctx, tree.Config("slug", "c"), store.Default); !isDenied(err) {
		t.Errorf("get: %v", err)
	}
	if gone, err := nobody.Gone(ctx, tree.Assignment("web1", "slug")); gone || !isDenied(err) {
		t.Errorf("gone %v: %v", gone, err)
	}
	if err := nobody.Put(ctx, tree.Config("slug", "c"), nil); !isDenied(err) {
		t.Errorf("put: %v", err)
	}
	if _, err := nobody.Commit(ctx, []store.Change{{Verb: store.Set, Key: "a", Value: nil}}); !isDenied(err) {
		t.Errorf("commit: %v", err)
	}
	if snapshot, err := nobody.ReadNode(ctx, tree, "web1", store.Default); !isDenied(err) {
		t.Errorf("a list that was filtered is an answer: %+v, %v", snapshot, err)
	}
	if _, err := nobody.NewSession(ctx, "x", store.MinTTL, 0, store.DeleteKeys); !isDenied(err) {
		t.Errorf("session: %v", err)
	}
	if wrong, err := store.Open(store.Config{Address: c.Addr, Token: "no-such-token"}); err != nil {
		t.Error(err)
	} else if _, _, err := wrong.List(ctx, tree.Intent(), store.Default); !isDenied(err) {
		t.Errorf("unknown token: %v", err)
	}
	w := watch(t, nobody, tree)
	eventually(t, "the watch says so", func() bool { return w.wrong.Load() > 0 })
	w.quiet(2 * time.Second)
	if err := *w.err.Load(); !isDenied(err) {
		t.Errorf("the watch says %v", err)
	}
}
