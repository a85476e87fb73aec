package store_test

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/platypus-platform/platypus/intent"
	"github.com/platypus-platform/platypus/store"
	"github.com/platypus-platform/platypus/store/consultest"
)

// traffic is a constant load like that of agents and people, with its results.
type traffic struct {
	t       *testing.T
	store   *store.Store
	tree    intent.Tree
	acked   atomic.Int64 // acknowledged commits
	unknown atomic.Int64 // commits with unknown outcome
	reads   atomic.Int64 // successful reads
	failed  atomic.Int64 // failed reads
	stuck   atomic.Int64 // failed rounds of count
}

// begin runs the traffic until the test ends; wait returns when all of it has stopped.
func (x *traffic) begin() (stop func()) {
	ctx, cancel := context.WithCancel(x.t.Context())
	var group sync.WaitGroup
	for _, work := range []func(context.Context){x.count, x.look} {
		group.Go(func() {
			for ctx.Err() == nil {
				work(ctx)
				time.Sleep(5 * time.Millisecond)
			}
		})
	}
	return func() { cancel(); group.Wait() }
}

// count increments a counter with a single writer.
func (x *traffic) count(ctx context.Context) {
	key := string(x.tree.Own()) + "count"
	pair, _, err := x.store.Get(ctx, key, store.Consistent)
	if err != nil {
		x.stuck.Add(1)
		x.outage(ctx, "read", err)
		return
	}
	n, _ := strconv.Atoi(string(pair.Value))
	change := store.Change{Verb: store.CAS, Key: key, Value: []byte(strconv.Itoa(n + 1)), Index: pair.ModifyIndex}
	switch _, err = x.store.Commit(ctx, []store.Change{change}); {
	case err == nil:
		x.acked.Add(1)
	case errors.Is(err, store.ErrUnknown):
		x.unknown.Add(1)
	case errors.Is(err, store.ErrConflict) && x.unknown.Load() > 0: // one of the unknown commits did happen
	default:
		x.stuck.Add(1)
		x.outage(ctx, "commit", err)
	}
}

// look makes the reads that an agent makes before it removes anything.
func (x *traffic) look(ctx context.Context) {
	if gone, err := x.store.Gone(ctx, x.tree.Assignment("web1", "slug")); err != nil {
		x.outage(ctx, "gone", err)
	} else if gone {
		x.t.Error("an app that is declared is gone")
	}
	if blank, err := x.store.Blank(ctx, x.tree.Clusters()); err != nil {
		x.outage(ctx, "blank", err)
	} else if blank {
		x.t.Error("a store that declares something is blank")
	}
	for _, mode := range []store.Mode{store.Default, store.Consistent} {
		if pairs, _, err := x.store.List(ctx, x.tree.Cluster("slug", "c"), mode); err != nil {
			x.outage(ctx, "list", err)
		} else if x.reads.Add(1); len(pairs) != 2 {
			x.t.Errorf("a list of %d pairs, want 2", len(pairs))
		}
	}
}

// outage accepts only the errors of an outage.
func (x *traffic) outage(ctx context.Context, what string, err error) {
	if x.failed.Add(1); ctx.Err() == nil && !errors.Is(err, store.ErrUnreachable) {
		x.t.Errorf("%s: %v", what, err)
	}
}

// goesOn waits until commits and reads succeed again.
func (x *traffic) goesOn(after string) {
	x.t.Helper()
	acked, reads := x.acked.Load(), x.reads.Load()
	eventually(x.t, "commits and reads after "+after, func() bool { return x.acked.Load() > acked+2 && x.reads.Load() > reads+2 })
}

// TestFaultCluster kills the leader of three servers, then two servers, and heals each, while an agent watches,
// commits, holds a lease and checks for absence: every result is correct or an error, the watch recovers by itself, and
// a lease that could not be renewed is reported as lost.
func TestFaultCluster(t *testing.T) {
	t.Parallel()
	servers := consultest.StartCluster(t, 3)
	leader := func() int {
		at := -1
		eventually(t, "a leader", func() bool {
			for i, s := range servers {
				if s.Running() && s.Leads() {
					at = i
				}
			}
			return at >= 0
		})
		return at
	}
	first := leader()
	mine := servers[(first+1)%3]
	x := &traffic{t: t, store: opened(t, mine.Addr), tree: anyTree(t)}
	assign(t, x.store, x.tree, "slug", "v1")
	w := watch(t, x.store, x.tree)
	w.until("slug at v1", active("slug", "v1"))
	stop := x.begin()
	defer stop()
	began := time.Now()
	lease := holds(t, x)
	servers[first].Kill()
	x.goesOn("the leader was killed")
	declare := func(version string) {
		eventually(t, "a write", func() bool { // the servers may vote once more
			return x.store.Put(t.Context(), x.tree.Config("slug", "c"), fmt.Appendf(nil, `{"versions":{%q:"active"}}`, version)) == nil
		})
	}
	declare("v2")
	w.until("slug at v2", active("slug", "v2"))
	select {
	case <-lease.Lost(): // it may be when all this took longer than it lives without a renewal
		if took := time.Since(began); took < store.MinTTL {
			t.Error("a change of the leader costs the lease")
		}
		lease = holds(t, x)
	default:
	}
	servers[first].Start()
	servers[first].Ready()

	for i, s := range servers {
		if s != mine {
			servers[i].Kill()
		}
	}
	failed, stuck := x.failed.Load(), x.stuck.Load()
	eventually(t, "the outage is told", func() bool { // to those, too, whose last round began before it
		return x.failed.Load() > failed+5 && x.stuck.Load() > stuck+1
	})
	w.quiet(time.Second)
	acked := x.acked.Load()
	select {
	case <-lease.Lost():
	case <-time.After(hang):
		t.Error("nobody is told that the lease is lost")
	}
	if x.acked.Load() != acked {
		t.Error("one server of three acknowledges a commit")
	}
	for _, s := range servers {
		if s != mine {
			s.Start()
		}
	}
	x.goesOn("two servers came back")
	declare("v3")
	w.until("slug at v3", active("slug", "v3"))
	stop()
	pair, _, err := x.store.Get(t.Context(), string(x.tree.Own())+"count", store.Consistent)
	n, _ := strconv.ParseInt(string(pair.Value), 10, 64)
	if low, high := x.acked.Load(), x.acked.Load()+x.unknown.Load(); err != nil || n < low || n > high {
		t.Errorf("the counter is at %d, must lie between %d and %d: %v", n, low, high, err)
	}
	t.Logf("%d commits acknowledged, %d unknown, %d reads answered, %d requests failed", x.acked.Load(), x.unknown.Load(), x.reads.Load(), x.failed.Load())
}

// holds opens a session with a short TTL and acquires a key.
func holds(t *testing.T, x *traffic) *store.Session {
	t.Helper()
	session, err := x.store.NewSession(t.Context(), "n", store.MinTTL, time.Millisecond, store.ReleaseKeys)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), time.Second)
		defer cancel()
		_ = session.Close(ctx)
	})
	eventually(t, "the lease", func() bool { // one that was lost is the store's to give only some time after
		held, err := session.Acquire(t.Context(), string(x.tree.Own())+"lease", nil)
		return held && err == nil
	})
	return session
}
