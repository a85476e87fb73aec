package history_test

import (
	"errors"
	"strings"
	"testing"

	"github.com/platypus-platform/platypus/store/history"
)

// TestMirror_HoldsBackCompaction: nothing that a declared mirror lacks is deleted, and the compaction reports why.
func TestMirror_HoldsBackCompaction(t *testing.T) {
	each(t, func(t *testing.T, w *world) {
		newPast(w, 330)
		all := w.all(history.Query{})
		if _, err := w.log.SetMirror(t.Context(), history.Mirror{Name: "git", Seq: 20, Hash: all[19].Hash}); err != nil {
			t.Fatal(err)
		}
		c, err := w.log.Compact(t.Context(), history.Keep{Commits: 1})
		if err != nil || c.Floor > 20 || !strings.HasPrefix(c.Pin, "mirror git, which has commit 20 since ") {
			t.Errorf("%+v, %v", c, err)
		}
		if got := w.all(history.Query{From: 21}); len(got) != 310 {
			t.Errorf("%d of 310 commits are left", len(got))
		}
		// A mirror of another history has no commit of this one for certain.
		if _, err := w.log.SetMirror(t.Context(), history.Mirror{Name: "git", Seq: 300, Hash: all[19].Hash}); err != nil {
			t.Fatal(err)
		}
		if to, pin, err := w.log.Excess(t.Context(), history.Keep{Commits: 1}); err != nil || to > 20 || !strings.Contains(pin, "another history") {
			t.Errorf("%d, %q, %v", to, pin, err)
		}
		if _, err := w.log.SetMirror(t.Context(), history.Mirror{Name: "git", Seq: 330, Hash: all[329].Hash}); err != nil {
			t.Fatal(err)
		}
		if c, err := w.log.Compact(t.Context(), history.Keep{Commits: 1}); err != nil || c.Floor < 200 {
			t.Errorf("%+v, %v", c, err)
		}
		if err := w.log.RemoveMirror(t.Context(), "git"); err != nil {
			t.Error(err)
		}
		if err := w.log.RemoveMirror(t.Context(), "git"); !errors.Is(err, history.ErrNoSuch) {
			t.Error(err)
		}
	})
}
