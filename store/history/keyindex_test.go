package history_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"testing"

	"github.com/platypus-platform/platypus/intent"
	"github.com/platypus-platform/platypus/store"
	"github.com/platypus-platform/platypus/store/history"
)

// commitWithNewLog commits with a log that has read nothing yet.
func (w *world) commitWithNewLog(edits ...history.Edit) history.Commit {
	w.Helper()
	c, err := history.Open(w.store, w.tree).Commit(w.Context(), history.Request{Note: history.Note{Author: me, Via: "test"}, Edits: edits})
	if err != nil {
		w.Fatal(err)
	}
	return c
}

// TestCommit_FastRead_FindsPlainWrites: writers that have not read the log use the fast read where possible, and still
// find every plain write.
func TestCommit_FastRead_FindsPlainWrites(t *testing.T) {
	each(t, func(t *testing.T, w *world) {
		w.T = t
		w.commitWithNewLog(edit("vms/a", "1"), edit("vms/b", "1"))   // 1
		w.commitWithNewLog(edit("vms/a", "2"))                       // 2, over what 1 says
		w.commitWithNewLog(edit("vms/c", "1"))                       // 3, which was never there
		w.commitWithNewLog(history.Edit{Key: "vms/b", Delete: true}) // 4
		w.commitWithNewLog(edit("vms/b", "2"))                       // 5
		w.same()

		w.plain("vms/a", "plain")
		w.commitWithNewLog(edit("vms/a", "3")) // 6 observed, 7
		w.remove("vms/c")
		w.commitWithNewLog(edit("vms/c", "2"))         // 8 observed, 9
		w.plain("vms/new", "plain")                    // which the log does not know at all
		w.commitWithNewLog(edit("vms/new", "written")) // 10 observed, 11
		w.remove("vms/a")
		w.plain("vms/a", "3")                  // the same bytes in another key of that name
		w.commitWithNewLog(edit("vms/a", "4")) // 12 observed, 13
		var kinds []string
		for _, c := range w.all(history.Query{From: 6}) {
			kinds = append(kinds, fmt.Sprintf("%s %s %s", c.Kind, c.Changes[0].Op, c.Changes[0].Key))
		}
		want := []string{"observed put vms/a", "set put vms/a", "observed delete vms/c", "set put vms/c",
			"observed put vms/new", "set put vms/new", "observed put vms/a", "set put vms/a"}
		if !slices.Equal(kinds, want) {
			t.Errorf("%q, want %q", kinds, want)
		}
		w.same()
	})
}

// TestCommit_FastReadForgedFlags_FallsBack: a plain write carries the flags of a commit, as an import of a Consul
// export does.
func TestCommit_FastReadForgedFlags_FallsBack(t *testing.T) {
	each(t, func(t *testing.T, w *world) {
		w.T = t
		w.commitWithNewLog(edit("vms/a", "1"))
		w.commitWithNewLog(edit("vms/a", "2"))
		path := string(w.tree.Intent()) + "vms/a"
		for flags, value := range map[uint64]string{1: "1", 2: "2", 99: "2"} {
			if _, err := w.store.Commit(t.Context(), []store.Change{{Verb: store.Set, Key: path, Value: []byte(value), Flags: flags}}); err != nil {
				t.Fatal(err)
			}
			w.commitWithNewLog(edit("vms/a", fmt.Sprint("after ", flags)))
		}
		w.same()
		if faults, err := w.log.Verify(t.Context()); err != nil || len(faults) > 0 {
			t.Error(err, faults)
		}
	})
}

// TestCommit_FastReadHundredth_WritesCheckpoint: a checkpoint is written even if no writer has read the log.
func TestCommit_FastReadHundredth_WritesCheckpoint(t *testing.T) {
	each(t, func(t *testing.T, w *world) {
		w.T = t
		for i := range 103 {
			w.commitWithNewLog(edit(fmt.Sprintf("vms/vm%d", i%7), fmt.Sprint(i)))
		}
		names, err := w.store.Names(t.Context(), w.tree.History().Join("cp"))
		if err != nil || len(names) == 0 {
			t.Errorf("%d parts of checkpoints, %v", len(names), err)
		}
		w.same()
	})
}

// TestJudge rejects a commit because of other keys, before anything is written.
func TestJudge(t *testing.T) {
	each(t, func(t *testing.T, w *world) {
		w.T = t
		w.commitWithNewLog(edit("regions/SIN", "{}"))
		no := errors.New("no such region")
		r := history.Request{Edits: []history.Edit{edit("vms/a", "1")}, Also: []string{"regions/SIN"}}
		for _, region := range []string{"regions/NRT", "regions/SIN"} {
			r.Also = []string{region}
			r.Judge = func(_ context.Context, live map[string]intent.Pair) error {
				if live[region].ModifyIndex == 0 || live["vms/a"].ModifyIndex > 0 {
					return no
				}
				return nil
			}
			if _, err := w.log.Commit(t.Context(), r); errors.Is(err, no) != (region == "regions/NRT") {
				t.Errorf("%s: %v", region, err)
			}
		}
		w.same()
	})
}
