package history_test

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"

	"github.com/platypus-platform/platypus/intent"
	"github.com/platypus-platform/platypus/store"
	"github.com/platypus-platform/platypus/store/embedtest"
	"github.com/platypus-platform/platypus/store/history"
)

// noise is an incompressible value.
func noise(rng *rand.Rand, n int) []byte {
	data := make([]byte, n)
	for i := range data {
		data[i] = byte(rng.Uint32())
	}
	return data
}

func (w *world) refused(limit string, edits ...history.Edit) {
	w.Helper()
	before, _ := w.log.Head(w.Context())
	_, err := w.log.Commit(w.Context(), history.Request{Note: history.Note{Author: me}, Edits: edits})
	if !errors.Is(err, store.ErrTooLarge) || !strings.Contains(err.Error(), limit) {
		w.Fatalf("%v, want the limit %q named", err, limit)
	}
	if after, _ := w.log.Head(w.Context()); after != before {
		w.Fatal("something was recorded")
	}
}

// TestCommit_MaxKeys_FitsAndOneMoreFails: 126 keys, or 63 deletes, also if each of them overwrites a plain write that
// must be recorded first.
func TestCommit_MaxKeys_FitsAndOneMoreFails(t *testing.T) {
	each(t, func(t *testing.T, w *world) {
		edits := func(n int, value string) (edits []history.Edit) {
			for i := range n {
				edits = append(edits, edit(fmt.Sprintf("nodes/web%d/x", i), value))
			}
			return edits
		}
		w.commit("126", edits(126, "1")...)
		w.refused("128 go into one transaction", edits(127, "2")...)
		for i := range 126 {
			w.plain(fmt.Sprintf("nodes/web%d/x", i), "plain")
		}
		c := w.commit("126 over plain ones", edits(126, "3")...)
		w.is(c.Seq-1, "nodes/web125/x", "plain")
		w.is(c.Seq, "nodes/web125/x", "3")
		big126 := edits(126, "")
		rng := rand.New(rand.NewPCG(1, 9))
		for i := range big126 {
			big126[i].Value = []byte(big(rng, 2500)) // deflates to less than fits beside it
		}
		w.commit("126 of 2.5 kB", big126...)
		gone := edits(126, "")
		for i := range gone {
			gone[i] = history.Edit{Key: gone[i].Key, Delete: true}
		}
		w.refused("a delete takes 2", gone[:64]...)
		w.commit("63 deletes", gone[:63]...)
		w.same()
	})
}

func TestCommit_MaxBytes_FitsAndMoreFails(t *testing.T) {
	each(t, func(t *testing.T, w *world) {
		rng := rand.New(rand.NewPCG(1, 8))
		w.commit("380 kB that nothing makes smaller", history.Edit{Key: "nodes/a/x", Value: noise(rng, 190_000)},
			history.Edit{Key: "nodes/b/x", Value: noise(rng, 190_000)})
		w.refused("at most 524288", history.Edit{Key: "nodes/a/x", Value: noise(rng, 200_000)},
			history.Edit{Key: "nodes/b/x", Value: noise(rng, 200_000)})
		w.refused(fmt.Sprintf("at most %d", intent.MaxValue), history.Edit{Key: "nodes/a/x", Value: noise(rng, intent.MaxValue+1)})
		w.commit("one as large as may be", history.Edit{Key: "nodes/a/x", Value: noise(rng, intent.MaxValue)})
		var many []history.Edit // small ones that do not fit together with their record, unless that gives way
		for i := range 95 {
			many = append(many, history.Edit{Key: fmt.Sprintf("nodes/web%d/x", i), Value: noise(rng, 3700)})
		}
		w.commit("95 of 3.7 kB", many...)
		w.same()
		// What an observer finds may be more than any transaction holds.
		for i := range 30 {
			if err := w.store.Put(t.Context(), string(w.tree.Intent())+fmt.Sprintf("nodes/plain%d/x", i), noise(rng, 100_000)); err != nil {
				t.Fatal(err)
			}
		}
		if err := w.store.Put(t.Context(), string(w.tree.Intent())+"nodes/huge/x", noise(rng, 500_000)); err != nil {
			t.Fatal(err)
		}
		if got := w.observe(); len(got) == 0 {
			t.Error("nothing was seen")
		}
		w.same()
		faults, err := w.log.Verify(t.Context())
		if err != nil || len(faults) > 0 {
			t.Fatal(err, faults)
		}
	})
}

// TestCommit_ExistingTree_IsImported imports a tree of any size that existed before its history.
func TestCommit_ExistingTree_IsImported(t *testing.T) {
	each(t, func(t *testing.T, w *world) {
		rng := rand.New(rand.NewPCG(1, 7))
		for i := range 300 {
			w.plain(fmt.Sprintf("clusters/app%d/c/config", i), big(rng, 4000))
		}
		if c := w.commit("first", edit("nodes/a/x", "1")); c.Seq < 2 {
			t.Errorf("%+v", c)
		}
		w.same()
		if got := w.observe(); len(got) != 0 {
			t.Errorf("%d commits more", len(got))
		}
	})
}

func TestCommit_ForeignKeys_AreRejected(t *testing.T) {
	w := newWorld(t, embedtest.Start(t))
	for _, key := range []string{"", "/", "a//b", "a/", "/a", "../status/x", "a/../../b", "a/./b"} {
		if c, err := w.log.Commit(t.Context(), history.Request{Edits: []history.Edit{edit(key, "1")}}); err == nil {
			t.Errorf("%q: %+v", key, c)
		}
	}
	_, err := w.log.Commit(t.Context(), history.Request{Edits: []history.Edit{edit("nodes/a/x", "1"), edit("nodes/a/x", "2")}})
	if err == nil || !strings.Contains(err.Error(), "twice") {
		t.Error(err)
	}
}

// TestLog_TreeOf2014_IgnoresOtherKeys: the history of a 2014 tree, at the top of the store, ignores everything else
// there.
func TestLog_TreeOf2014_IgnoresOtherKeys(t *testing.T) {
	w := newWorld(t, embedtest.Start(t))
	tree, err := intent.ParseRoot("")
	if err != nil {
		t.Fatal(err)
	}
	w.tree, w.log = tree, history.Open(w.store, tree)
	w.plain("foreign/key", "x")
	w.plain("nodes/a/x", "1")
	w.commit("", edit("nodes/a/x", "2"), edit("clusters/x/c/config", "3"))
	if got := w.observe(); len(got) != 0 {
		t.Errorf("%+v", got)
	}
	if _, err := w.log.Commit(t.Context(), history.Request{Edits: []history.Edit{edit("foreign/key", "1")}}); err == nil {
		t.Error("a foreign key was written")
	}
	f := w.fork("f", 0)
	f.is(1, "clusters/x/c/config", "3")
	f.same()
	head, err := w.log.Head(t.Context())
	if err != nil || head.Seq != 2 {
		t.Error(head, err)
	}
}
