package store_test

import (
	"errors"
	"fmt"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/platypus-platform/platypus/intent"
	"github.com/platypus-platform/platypus/store"
	"github.com/platypus-platform/platypus/store/embedtest"
)

func TestReadAndWrite(t *testing.T) {
	each(t, func(t *testing.T, s *store.Store, tree intent.Tree) {
		ctx, key := t.Context(), tree.Config("slug", "c")
		if _, found, err := s.Get(ctx, key, store.Consistent); found || err != nil {
			t.Fatalf("found %v: %v", found, err)
		}
		if gone, err := s.Gone(ctx, key); !gone || err != nil {
			t.Fatalf("gone %v: %v", gone, err)
		}
		put(t, s, key, "one")
		put(t, s, tree.Config("slug", "c2"), "sibling")
		pair, found, err := s.Get(ctx, key, store.Default)
		if err != nil || !found || string(pair.Value) != "one" || pair.Key != key || pair.ModifyIndex == 0 || pair.CreateIndex == 0 {
			t.Fatalf("pair %+v, %v", pair, err)
		}
		pairs, index, err := s.List(ctx, tree.Cluster("slug", "c"), store.Consistent)
		if err != nil || len(pairs) != 1 || index != pair.ModifyIndex {
			t.Fatalf("list %+v at %d, %v", pairs, index, err)
		}
		if err := s.Delete(ctx, key); err != nil {
			t.Fatal(err)
		}
		if err := s.Delete(ctx, key); err != nil {
			t.Fatalf("delete what is absent: %v", err)
		}
		if pairs, _, err := s.List(ctx, tree.Cluster("slug", "c"), store.Default); err != nil || len(pairs) != 0 {
			t.Fatalf("list %+v, %v", pairs, err)
		}
		if err := s.Put(ctx, key, make([]byte, 600<<10)); !errors.Is(err, store.ErrTooLarge) {
			t.Errorf("put of 600 KiB: %v", err)
		}
		if leader, err := s.Leader(ctx); err != nil || leader == "" {
			t.Errorf("leader %q, %v", leader, err)
		}
	})
}

func TestCommit_Conflict_ChangesNothingAndNamesTheKey(t *testing.T) {
	each(t, func(t *testing.T, s *store.Store, tree intent.Tree) {
		ctx := t.Context()
		a, b := string(tree.Own())+"a", string(tree.Own())+"b"
		index, err := s.Commit(ctx, []store.Change{{Verb: store.CAS, Key: a, Value: []byte("1")}, {Verb: store.Set, Key: b, Value: []byte("1")}})
		if err != nil || index == 0 {
			t.Fatalf("index %d, %v", index, err)
		}
		for name, change := range map[string]store.Change{
			"create again":   {Verb: store.CAS, Key: a, Value: []byte("2")},
			"old index":      {Verb: store.CAS, Key: a, Value: []byte("2"), Index: index - 1},
			"delete old":     {Verb: store.DeleteCAS, Key: a, Index: index - 1},
			"check old":      {Verb: store.CheckIndex, Key: a, Index: index - 1},
			"must not exist": {Verb: store.CheckNotExists, Key: a},
		} {
			_, err := s.Commit(ctx, []store.Change{{Verb: store.Set, Key: b, Value: []byte("2")}, change})
			if !errors.Is(err, store.ErrConflict) || !strings.Contains(err.Error(), a) {
				t.Errorf("%s: %v", name, err)
			}
			if pair, _, _ := s.Get(ctx, b, store.Consistent); string(pair.Value) != "1" {
				t.Fatalf("%s: half of it happened", name)
			}
		}
		later, err := s.Commit(ctx, []store.Change{{Verb: store.CheckIndex, Key: a, Index: index}, {Verb: store.CAS, Key: b, Value: []byte("3"), Index: index}})
		if err != nil || later <= index {
			t.Errorf("index %d after %d, %v", later, index, err)
		}
		if _, err := s.Commit(ctx, []store.Change{{Verb: store.Remove, Key: a}, {Verb: store.DeleteCAS, Key: b, Index: later}}); err != nil {
			t.Error(err)
		}
		many := make([]store.Change, store.MostOps+1)
		for i := range many {
			many[i] = store.Change{Verb: store.Set, Key: fmt.Sprint(a, i)}
		}
		if _, err := s.Commit(ctx, many); !errors.Is(err, store.ErrTooLarge) {
			t.Errorf("%d changes: %v", len(many), err)
		}
		if _, err := s.Commit(ctx, many[1:]); err != nil {
			t.Errorf("%d changes: %v", len(many)-1, err)
		}
		if _, err := s.Commit(ctx, []store.Change{{Verb: store.Set, Key: a, Value: make([]byte, 600<<10)}}); !errors.Is(err, store.ErrTooLarge) {
			t.Errorf("a change of 600 KiB: %v", err)
		}
	})
}

func TestSessions(t *testing.T) {
	each(t, func(t *testing.T, s *store.Store, tree intent.Tree) {
		ctx := t.Context()
		for onLoss, stays := range map[store.OnLoss]bool{store.DeleteKeys: false, store.ReleaseKeys: true} {
			key := tree.Alive("web1", intent.Name(onLoss))
			mine, err := s.NewSession(ctx, "mine", store.MinTTL, time.Millisecond, onLoss)
			if err != nil {
				t.Fatal(err)
			}
			if held, err := mine.Acquire(ctx, key, []byte("mine")); !held || err != nil || !mine.Alive() {
				t.Fatalf("held %v, %v", held, err)
			}
			other, err := s.NewSession(ctx, "other", store.MinTTL, time.Millisecond, onLoss)
			if err != nil {
				t.Fatal(err)
			}
			if held, err := other.Acquire(ctx, key, []byte("other")); held || err != nil {
				t.Fatalf("another holds it, too: %v, %v", held, err)
			}
			if err := mine.Close(ctx); err != nil || mine.Alive() {
				t.Fatalf("closed: alive %v, %v", mine.Alive(), err)
			}
			if _, there, err := s.Get(ctx, key, store.Consistent); there != stays || err != nil {
				t.Errorf("%s: there %v, %v", onLoss, there, err)
			}
			for begin := time.Now(); ; time.Sleep(5 * time.Millisecond) { // the delay is 1 ms
				if held, err := other.Acquire(ctx, key, []byte("other")); err != nil || time.Since(begin) > hang {
					t.Fatalf("acquire what was given back: %v, %v", held, err)
				} else if held {
					break
				}
			}
			if err := other.Release(ctx, key); err != nil {
				t.Error(err)
			}
			if err := other.Close(ctx); err != nil {
				t.Error(err)
			}
		}
	})
}

// TestSession_StoreUnreachable_IsLost makes the store unreachable after more than one TTL of successful renewals.
func TestSession_StoreUnreachable_IsLost(t *testing.T) {
	if testing.Short() {
		t.Skip("it takes more than two TTLs of 10 s")
	}
	t.Parallel()
	wire := between(t, embedtest.Server(t))
	s := opened(t, wire.URL)
	session, err := s.NewSession(t.Context(), "mine", store.MinTTL, time.Millisecond, store.DeleteKeys)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { wire.heal(); _ = session.Close(t.Context()) }()
	select {
	case <-session.Lost():
		t.Fatal("lost while the store answers")
	case <-time.After(store.MinTTL + 2*time.Second):
	}
	wire.now(broken["black hole"])
	begin, late := time.Now(), time.NewTimer(store.MinTTL+6*time.Second) // well before the store may end it
	select {
	case <-session.Lost():
		return
	case <-late.C:
	}
	for range 1000 { // if the process was stalled both channels are ready: give the other one time
		runtime.Gosched()
	}
	if session.Alive() {
		t.Errorf("it counts as held %s after the last renewal", time.Since(begin))
	}
}

func TestServices(t *testing.T) {
	each(t, func(t *testing.T, s *store.Store, tree intent.Tree) {
		ctx, name := t.Context(), "slug-"+strings.Trim(string(tree.Own()), "/")
		service := store.Service{ID: name + "-1", Name: name, Port: 1212, Meta: map[string]string{"owner": name, "version": "v1"},
			Check: store.Check{TTL: time.Minute}}
		passing := func() (n, of int) {
			instances, err := s.Instances(ctx, name)
			if err != nil {
				t.Fatal(err)
			}
			for _, i := range instances {
				if i.Passing {
					n++
				}
			}
			return n, len(instances)
		}
		eventually := func(wantPassing, wantOf int) {
			t.Helper()
			for begin := time.Now(); ; time.Sleep(20 * time.Millisecond) {
				if n, of := passing(); n == wantPassing && of == wantOf {
					return
				} else if time.Since(begin) > hang {
					t.Fatalf("%d of %d pass, want %d of %d", n, of, wantPassing, wantOf)
				}
			}
		}
		if err := s.Deregister(ctx, service.ID); err != nil {
			t.Fatalf("deregister what is absent: %v", err)
		}
		if err := s.Heard(ctx, service.ID, true, "no such thing"); err == nil {
			t.Error("health of a service that is absent is taken")
		}
		if err := s.Register(ctx, service); err != nil {
			t.Fatal(err)
		}
		eventually(0, 1)
		if err := s.Heard(ctx, service.ID, true, "it answers"); err != nil {
			t.Fatal(err)
		}
		eventually(1, 1)
		if err := s.Heard(ctx, service.ID, false, "it does not"); err != nil {
			t.Fatal(err)
		}
		eventually(0, 1)
		service.Meta["version"] = "v2"
		if err := s.Register(ctx, service); err != nil {
			t.Fatal(err)
		}
		found, err := s.Registered(ctx, "owner", name)
		if got := found[service.ID]; err != nil || len(found) != 1 || got.Meta["version"] != "v2" || got.Port != 1212 || got.Name != name {
			t.Fatalf("registered %+v, %v", found, err)
		}
		if others, err := s.Registered(ctx, "owner", "nobody"); err != nil || len(others) != 0 {
			t.Fatalf("registered %+v, %v", others, err)
		}
		if err := s.Deregister(ctx, service.ID); err != nil {
			t.Fatal(err)
		}
		eventually(0, 0)
	})
}
