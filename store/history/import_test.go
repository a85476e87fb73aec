package history_test

import (
	"context"
	"errors"
	"iter"
	"net/http"
	"testing"

	"github.com/platypus-platform/platypus/store/embedtest"
	"github.com/platypus-platform/platypus/store/history"
)

// TestImport_BrokenStream_LeavesTheTreeOpen: an import that cannot be read completely is not started.
func TestImport_BrokenStream_LeavesTheTreeOpen(t *testing.T) {
	each(t, func(t *testing.T, w *world) {
		newPast(w, 130)
		all := w.all(history.Query{})
		broken := errors.New("the file ends")
		for name, last := range map[string]history.Commit{"unreadable": {}, "a bad key": {ID: "x", Changes: []history.Change{{Key: "a//b", Op: history.Put}}}} {
			half := func(yield func(history.Commit, error) bool) {
				for _, c := range all[:100] {
					if !yield(c, nil) {
						return
					}
				}
				if name == "unreadable" {
					yield(last, broken)
				} else {
					yield(last, nil)
				}
			}
			other := newWorldOn(w)
			if _, err := other.log.Import(t.Context(), half); err == nil || name == "unreadable" && !errors.Is(err, broken) {
				t.Fatal(name, err)
			}
			if names, err := other.store.Names(t.Context(), other.tree.History()); err != nil || len(names) > 0 {
				t.Errorf("%s: %v, %v", name, names, err)
			}
			other.commit("", edit("nodes/a/x", "1"))
		}
	})
}

// TestImport_Interrupted_LeavesTheTreeOpen cancels an import in the middle: what it wrote is removed.
func TestImport_Interrupted_LeavesTheTreeOpen(t *testing.T) {
	w := newWorld(t, embedtest.Start(t))
	newPast(w, 130)
	other := newWorldOn(w)
	inner := embedtest.Open(t)
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	writes := 0
	s := opened(t, embedtest.Serve(t, http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
		if r.Method == http.MethodPut {
			if writes++; writes == 6 {
				cancel()
			}
		}
		inner.ServeHTTP(rw, r)
	})).Listener.Addr().String())
	other.store, other.log = s, history.Open(s, other.tree)
	if _, err := other.log.Import(ctx, pairs(w.all(history.Query{}))); err == nil {
		t.Fatal("it went on")
	}
	if unfinished, err := other.log.ImportUnfinished(t.Context()); err != nil || unfinished {
		t.Error(unfinished, err)
	}
	other.commit("", edit("nodes/a/x", "1"))
}

// TestImport_Killed_IsTakenUpByTheNext: nobody can write to a half-finished import that was killed; the next import
// starts over, and EndImport removes it.
func TestImport_Killed_IsTakenUpByTheNext(t *testing.T) {
	w := newWorld(t, embedtest.Start(t))
	newPast(w, 130)
	whole := pairs(w.all(history.Query{}))
	inner := embedtest.Open(t)
	writes, dead := 0, true
	s := opened(t, embedtest.Serve(t, http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
		if r.Method == http.MethodPut {
			writes++
		}
		if dead && writes > 5 { // as if the process had been killed here
			http.Error(rw, "gone", http.StatusForbidden)
			return
		}
		inner.ServeHTTP(rw, r)
	})).Listener.Addr().String())
	other := newWorldOn(w)
	other.store, other.log = s, history.Open(s, other.tree)
	for _, end := range []bool{false, true} {
		writes, dead = 0, true
		if _, err := other.log.Import(t.Context(), whole); err == nil {
			t.Fatal("it went on")
		}
		dead = false
		if _, err := other.log.Commit(t.Context(), history.Request{Edits: []history.Edit{edit("nodes/a/x", "1")}}); !errors.Is(err, history.ErrHeld) {
			t.Error(err)
		}
		if got := other.observe(); len(got) != 0 {
			t.Error(got)
		}
		if end {
			if was, err := other.log.EndImport(t.Context()); !was || err != nil {
				t.Error(was, err)
			}
			other.commit("", edit("nodes/a/x", "1"))
			continue
		}
		if head, err := other.log.Import(t.Context(), whole); err != nil || head.Seq != 130 {
			t.Fatal(head, err)
		}
		other.observe()
		other.same()
		other = newWorldOn(other)
	}
}

func pairs(commits []history.Commit) iter.Seq2[history.Commit, error] {
	return func(yield func(history.Commit, error) bool) {
		for _, c := range commits {
			if !yield(c, nil) {
				return
			}
		}
	}
}

// TestVerify_HeadGone: a tree without its head is neither empty nor valid; Repair restores it.
func TestVerify_HeadGone(t *testing.T) {
	each(t, func(t *testing.T, w *world) {
		newPast(w, 20)
		if err := w.store.Delete(t.Context(), w.tree.History().Key("head")); err != nil {
			t.Fatal(err)
		}
		log := history.Open(w.store, w.tree)
		if faults, err := log.Verify(t.Context()); err != nil || len(faults) != 1 || !errors.Is(faults[0].Err, history.ErrNoHead) {
			t.Error(faults, err)
		}
		for _, err := range log.Commits(t.Context(), history.Query{}) {
			if !errors.Is(err, history.ErrNoHead) {
				t.Error(err)
			}
		}
		if _, err := log.At(t.Context(), 0); !errors.Is(err, history.ErrNoHead) {
			t.Error(err)
		}
		if head, err := log.Repair(t.Context()); err != nil || head.Seq != 20 {
			t.Error(head, err)
		}
		if faults, err := log.Verify(t.Context()); err != nil || len(faults) > 0 {
			t.Error(faults, err)
		}
	})
}
