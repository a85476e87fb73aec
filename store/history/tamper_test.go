package history_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/platypus-platform/platypus/intent"
	"github.com/platypus-platform/platypus/store"
	"github.com/platypus-platform/platypus/store/embedtest"
	"github.com/platypus-platform/platypus/store/history"
)

// raw reads a key below the history.
func (w *world) raw(key string) intent.Pair {
	w.Helper()
	pair, found, err := w.store.Get(w.Context(), string(w.tree.History())+key, store.Consistent)
	if err != nil || !found {
		w.Fatal(key, found, err)
	}
	return pair
}

// forge overwrites it.
func (w *world) forge(key string, value []byte) {
	w.Helper()
	if err := w.store.Put(w.Context(), string(w.tree.History())+key, value); err != nil {
		w.Fatal(err)
	}
}

// replace overwrites it and makes it look original.
func (w *world) replace(key string, value []byte) {
	w.Helper()
	if err := w.store.Delete(w.Context(), string(w.tree.History())+key); err != nil {
		w.Fatal(err)
	}
	w.forge(key, value)
}

// TestLog_DamagedEntries_AreReported damages one entry in each way: it is reported, other entries and independent
// states stay readable, and commits succeed.
func TestLog_DamagedEntries_AreReported(t *testing.T) {
	each(t, func(t *testing.T, w *world) {
		for name, damage := range map[string]func(w *world){
			"truncated": func(w *world) { p := w.raw("c/0000000000/05"); w.replace("c/0000000000/05", p.Value[:len(p.Value)/2]) },
			"empty":     func(w *world) { w.replace("c/0000000000/05", nil) },
			"longer":    func(w *world) { p := w.raw("c/0000000000/05"); w.replace("c/0000000000/05", append(p.Value, 0)) },
			"a bit flipped": func(w *world) {
				p := w.raw("c/0000000000/05")
				p.Value[len(p.Value)-5] ^= 4
				w.replace("c/0000000000/05", p.Value)
			},
			"another entry": func(w *world) { w.replace("c/0000000000/05", w.raw("c/0000000000/04").Value) },
			"gone":          func(w *world) { _ = w.store.Delete(w.Context(), string(w.tree.History())+"c/0000000000/05") },
			"well forged": func(w *world) { // the entry of another history, with the right number
				x := newWorldOn(w)
				for i := range 5 {
					x.commit("lies", edit("nodes/a/x", fmt.Sprint("lie", i)))
				}
				w.replace("c/0000000000/05", x.raw("c/0000000000/05").Value)
			},
			"written again": func(w *world) {
				p := w.raw("c/0000000000/05")
				w.forge("c/0000000000/05", []byte("x"))
				w.forge("c/0000000000/05", p.Value)
			},
		} {
			w := newWorldOn(w)
			for i := range 9 {
				w.commit("", edit(fmt.Sprintf("nodes/%d/x", i%2), fmt.Sprint(i+1)))
			}
			damage(w)
			cold := &world{w.T, w.store, w.tree, history.Open(w.store, w.tree)}
			faulty := []uint64{}
			for _, c := range cold.all(history.Query{}) {
				if c.Fault != nil {
					faulty = append(faulty, c.Seq)
					if !errors.Is(c.Fault, history.ErrForged) || !strings.Contains(c.Fault.Error(), "entry 5") {
						t.Errorf("%s: %v", name, c.Fault)
					}
				}
			}
			if !slices.Equal(faulty, []uint64{5}) {
				t.Fatalf("%s: entries %v are not believed", name, faulty)
			}
			cold.is(4, "nodes/1/x", "4")
			cold.is(4, "nodes/0/x", "3")
			cold.is(9, "nodes/0/x", "9") // set by an entry after the broken one
			if _, _, err := cold.log.Get(t.Context(), "nodes/1/x", 5); !errors.Is(err, history.ErrForged) || !strings.Contains(err.Error(), "entry 5") {
				t.Errorf("%s: a state that the entry may have changed: %v", name, err)
			}
			faults, err := cold.log.Verify(t.Context())
			if err != nil || len(faults) != 1 || faults[0].Seq != 5 {
				t.Errorf("%s: %v, %v", name, faults, err)
			}
			c := cold.commit("on we go", edit("nodes/0/x", "10"))
			cold.observe()
			cold.is(c.Seq, "nodes/0/x", "10")
		}
	})
}

// newWorldOn is another tree in the same store.
func newWorldOn(w *world) *world {
	tree := anyTree(w)
	return &world{w.T, w.store, tree, history.Open(w.store, tree)}
}

func TestLog_DamagedHeadOrCheckpoint_IsReported(t *testing.T) {
	w := newWorld(t, embedtest.Start(t))
	p := newPast(w, 230)
	// The newest entry is vouched for by the head.
	x := newWorldOn(w)
	x.commit("", edit("nodes/a/x", "1"))
	last := x.raw("c/0000000000/01").Value
	x.commit("", edit("nodes/a/x", "2"))
	x.replace("c/0000000000/02", last)
	if faults, err := x.log.Verify(t.Context()); err != nil || len(faults) == 0 || faults[0].Seq != 2 {
		t.Errorf("%v, %v", faults, err)
	}
	// A checkpoint that is damaged is passed over for the one before, and named.
	part := w.raw("cp/000000000200/000")
	w.forge("cp/000000000200/000", part.Value[:len(part.Value)-1])
	for key, value := range p.states[220] {
		w.is(220, key, value)
	}
	faults, err := w.log.Verify(t.Context())
	if err != nil || len(faults) != 1 || !strings.Contains(faults[0].Error(), "checkpoint 200") {
		t.Errorf("%v, %v", faults, err)
	}
	w.forge("cp/000000000200/000", part.Value)
	// A blob that is damaged takes its values with it, and no others.
	blobs, err := w.store.Names(t.Context(), w.tree.History().Join("b"))
	if err != nil || len(blobs) == 0 {
		t.Fatal(err, blobs)
	}
	if err := w.store.Put(t.Context(), blobs[0], []byte("nonsense")); err != nil {
		t.Fatal(err)
	}
	bad, good := 0, 0
	for c, err := range w.log.Commits(t.Context(), history.Query{Values: true}) {
		if err != nil {
			t.Fatal(err)
		}
		if good++; c.Fault != nil {
			bad++
			if !strings.Contains(c.Fault.Error(), "the value of clusters/") {
				t.Error(c.Fault)
			}
		}
	}
	if bad == 0 || bad > good/4 {
		t.Errorf("%d of %d entries are not believed", bad, good)
	}
	// An invalid head or retention state is an error that names the key.
	for _, key := range []string{"head", "window"} {
		was := w.raw(key).Value
		w.forge(key, []byte(`{"seq":"no"}`))
		if key == "window" {
			w.forge(key, []byte(`[]`))
		}
		_, err := w.log.Commit(t.Context(), history.Request{Edits: []history.Edit{edit("nodes/a/x", "1")}})
		if !errors.Is(err, history.ErrForged) || !strings.Contains(err.Error(), "/"+key) {
			t.Errorf("%s: %v", key, err)
		}
		w.forge(key, was)
	}
}

// TestLog_HeadLost_CanBeRepaired: commits fail until the head is repaired; a new history is not started.
func TestLog_HeadLost_CanBeRepaired(t *testing.T) {
	each(t, func(t *testing.T, w *world) {
		for i := range 12 {
			w.commit("", edit("nodes/a/x", fmt.Sprint(i+1)))
		}
		if err := w.store.Delete(t.Context(), string(w.tree.History())+"head"); err != nil {
			t.Fatal(err)
		}
		w.log = history.Open(w.store, w.tree)
		_, err := w.log.Commit(t.Context(), history.Request{Edits: []history.Edit{edit("nodes/a/x", "0")}})
		if !errors.Is(err, history.ErrForged) || !strings.Contains(err.Error(), "repair") {
			t.Fatal(err)
		}
		if head, err := w.log.Repair(t.Context()); err != nil || head.Seq != 12 {
			t.Fatal(head, err)
		}
		w.is(12, "nodes/a/x", "12")
		w.observe()
		w.same()
		w.commit("", edit("nodes/a/x", "13"))
	})
}

// TestLog_TreeDeleted_RecordsIt deletes the tree below the log, then everything.
func TestLog_TreeDeleted_RecordsIt(t *testing.T) {
	each(t, func(t *testing.T, w *world) {
		w.commit("", edit("nodes/a/x", "1"), edit("nodes/b/x", "1"))
		w.remove("nodes/a/x")
		w.remove("nodes/b/x")
		got := w.observe()
		if len(got) != 1 || len(got[0].Changes) != 2 || got[0].Changes[0].Op != history.Delete || got[0].Changes[0].Seen == nil {
			t.Fatalf("%+v", got)
		}
		w.is(1, "nodes/a/x", "1")
		w.is(2, "nodes/a/x", "")
		w.commit("back", edit("nodes/a/x", "1"))
		pairs, _, err := w.store.List(t.Context(), w.tree.Own(), store.Consistent)
		if err != nil {
			t.Fatal(err)
		}
		seen, err := w.log.Head(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		for _, p := range pairs {
			if err := w.store.Delete(t.Context(), p.Key); err != nil {
				t.Fatal(err)
			}
		}
		if err := w.log.Confirm(t.Context(), seen); !errors.Is(err, history.ErrRewound) {
			t.Errorf("the log that was seen is gone: %v", err)
		}
		if c := w.commit("anew", edit("nodes/a/x", "2")); c.Seq != 1 {
			t.Errorf("%+v", c)
		}
		w.same()
	})
}

// TestObserve_KeyRecreated_IsRecorded distinguishes a key that existed all the time from one that was deleted and
// created again.
func TestObserve_KeyRecreated_IsRecorded(t *testing.T) {
	each(t, func(t *testing.T, w *world) {
		w.commit("", edit("nodes/a/x", "1"), edit("nodes/b/x", "1"))
		w.commit("", edit("nodes/a/x", "2"))
		w.plain("nodes/a/x", "3")
		w.plain("nodes/a/x", "2") // back to what it was
		if got := w.observe(); len(got) != 0 {
			t.Errorf("nothing is left to see: %+v", got)
		}
		w.remove("nodes/b/x")
		w.plain("nodes/b/x", "1")
		got := w.observe()
		if len(got) != 1 || len(got[0].Changes) != 1 || !got[0].Changes[0].Recreated || got[0].Changes[0].Key != "nodes/b/x" {
			t.Fatalf("%+v", got)
		}
		if got := w.observe(); len(got) != 0 {
			t.Errorf("once is enough: %+v", got)
		}
	})
}

// copyAll exports all keys of a tree and imports them into another store like `consul kv import`: plain puts.
func copyAll(t *testing.T, from, to *world) {
	pairs, _, err := from.store.List(t.Context(), from.tree.Own(), store.Consistent)
	if err != nil {
		t.Fatal(err)
	}
	for _, p := range pairs {
		if err := to.store.Put(t.Context(), p.Key, p.Value); err != nil {
			t.Fatal(err)
		}
	}
}

// TestLog_StoreRefilled_RecordsNothing imports an export of everything into another store, which changes every index:
// nothing is recorded, and later changes are.
func TestLog_StoreRefilled_RecordsNothing(t *testing.T) {
	each(t, func(t *testing.T, w *world) {
		for i := range 20 {
			w.commit("", edit(fmt.Sprintf("nodes/%d/x", i%5), fmt.Sprint(i)))
			w.plain(fmt.Sprintf("nodes/%d/y", i%5), fmt.Sprint(i))
			w.observe()
		}
		head, _ := w.log.Head(t.Context())
		other := newWorld(t, embedtest.Start(t))
		other.tree, other.log = w.tree, history.Open(other.store, w.tree)
		copyAll(t, w, other)
		if got := other.observe(); len(got) != 0 {
			t.Fatalf("an import is no news: %+v", got)
		}
		if err := other.log.Confirm(t.Context(), head); err != nil {
			t.Error(err)
		}
		other.same()
		other.plain("nodes/1/x", "plain")
		if got := other.observe(); len(got) != 1 || len(got[0].Changes) != 1 || got[0].Changes[0].Recreated {
			t.Fatalf("%+v", got)
		}
		other.remove("nodes/2/x")
		other.plain("nodes/2/x", "17")
		if got := other.observe(); len(got) != 1 || !got[0].Changes[0].Recreated {
			t.Fatalf("%+v", got)
		}
		other.commit("", edit("nodes/1/x", "ours"))
		if got := other.observe(); len(got) != 0 {
			t.Fatalf("%+v", got)
		}
		other.same()
	})
}

// restore resets everything to an earlier state.
func (w *world) restore(then []intent.Pair) {
	w.Helper()
	now, _, err := w.store.List(w.Context(), w.tree.Own(), store.Consistent)
	if err != nil {
		w.Fatal(err)
	}
	for _, p := range now {
		if i := slices.IndexFunc(then, func(o intent.Pair) bool { return o.Key == p.Key }); i < 0 {
			_ = w.store.Delete(w.Context(), p.Key)
		} else if err := w.store.Put(w.Context(), p.Key, then[i].Value); err != nil {
			w.Fatal(err)
		}
	}
}

// TestLog_StoreRestored_ReportsRewind restores an earlier state, as from a snapshot, below a log that is kept open.
func TestLog_StoreRestored_ReportsRewind(t *testing.T) {
	w := newWorld(t, embedtest.Start(t))
	w.commit("", edit("nodes/a/x", "1"))
	w.commit("", edit("nodes/a/x", "2"))
	then, _, err := w.store.List(t.Context(), w.tree.Own(), store.Consistent)
	if err != nil {
		t.Fatal(err)
	}
	w.commit("", edit("nodes/a/x", "3"))
	newest := w.commit("", edit("nodes/b/x", "4"))
	w.restore(then)
	s, err := w.log.Survey(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	o, err := w.log.Observe(t.Context(), s)
	if err != nil || o.Rewound == nil || o.Rewound.Seq != newest.Seq || o.Rewound.Hash != newest.Hash || len(o.Commits) != 0 {
		t.Fatalf("%+v, %v", o, err)
	}
	if err := w.log.Confirm(t.Context(), history.Head{Seq: newest.Seq, Hash: newest.Hash}); !errors.Is(err, history.ErrRewound) {
		t.Error(err)
	}
	w.commit("", edit("nodes/a/x", "5"))
	w.same()
	// Past the commit that was seen, and again: who only writes notices by the chain.
	for round := range 2 {
		w.restore(then)
		other := history.Open(w.store, w.tree)
		for i := range 4 + 8*round {
			key := "nodes/b/x"
			if i == 0 {
				key = "nodes/c/x"
			}
			if _, err := other.Commit(t.Context(), history.Request{Edits: []history.Edit{edit(key, fmt.Sprint("other", round, i))}}); err != nil {
				t.Fatal(err)
			}
		}
		if c := w.commit("", edit("nodes/c/x", "mine")); c.Seq != uint64(7+8*round) {
			t.Fatalf("%+v", c)
		}
		w.same()
	}
	if data, err := json.Marshal(o.Rewound); err != nil || !strings.Contains(string(data), newest.Hash.String()) {
		t.Errorf("%s, %v", data, err)
	}
}
