package history_test

import (
	"errors"
	"testing"

	"github.com/platypus-platform/platypus/store/history"
)

func TestCommits(t *testing.T) {
	each(t, func(t *testing.T, w *world) {
		w.commit("one", edit("nodes/web1/slug", `{"cluster":"a"}`))
		w.commit("two", edit("nodes/web1/slug", `{"cluster":"b"}`), edit("nodes/web2/slug", `{"cluster":"b"}`))
		c := w.commit("three", history.Edit{Key: "nodes/web1/slug", Delete: true})
		if c.Seq != 3 || c.Note.Author != me || c.Note.Message != "three" || len(c.Changes) != 1 {
			t.Fatalf("%+v", c)
		}
		w.is(1, "nodes/web1/slug", `{"cluster":"a"}`)
		w.is(2, "nodes/web1/slug", `{"cluster":"b"}`)
		w.is(3, "nodes/web1/slug", "")
		w.is(3, "nodes/web2/slug", `{"cluster":"b"}`)
		w.same()
		all := w.all(history.Query{})
		for i, c := range all {
			if c.Fault != nil || c.Seq != uint64(i+1) || i > 0 && c.Prev != all[i-1].Hash {
				t.Errorf("%+v", c)
			}
		}
		if touched := w.all(history.Query{Key: "nodes/web2/"}); len(touched) != 1 || touched[0].Seq != 2 {
			t.Errorf("%+v", touched)
		}
		_, err := w.log.Commit(t.Context(), history.Request{Edits: []history.Edit{edit("nodes/web2/slug", `{"cluster":"b"}`)}})
		if !errors.Is(err, history.ErrUnchanged) {
			t.Error(err)
		}
	})
}

func TestPlainWrites(t *testing.T) {
	each(t, func(t *testing.T, w *world) {
		w.plain("nodes/a/x", "1")
		w.plain("nodes/b/x", "1")
		w.commit("first", edit("nodes/a/x", "2")) // 1 adopts, 2
		w.is(1, "nodes/a/x", "1")
		w.is(1, "nodes/b/x", "1")
		w.plain("nodes/a/x", "3")
		w.commit("over a plain write", edit("nodes/a/x", "4")) // 3 observed, 4
		w.is(3, "nodes/a/x", "3")
		w.is(4, "nodes/a/x", "4")
		w.plain("nodes/a/x", "5")
		w.remove("nodes/b/x")
		if got := w.observe(); len(got) != 1 || got[0].Seq != 5 || len(got[0].Changes) != 2 || got[0].Kind != history.Observed {
			t.Fatalf("%+v", got)
		}
		if got := w.observe(); len(got) != 0 {
			t.Errorf("nothing happened, yet: %+v", got)
		}
		w.same()
		w.remove("nodes/a/x")
		c := w.commit("over a plain delete", edit("nodes/a/x", "6")) // 6 observed, 7
		before := w.all(history.Query{From: 6, To: 6})[0]
		if x := before.Changes[0]; c.Seq != 7 || x.Op != history.Delete || x.Seen == nil || x.Seen.At != c.Index || x.Index != c.Index || before.Note.Author.Proof != history.Unknown {
			t.Errorf("%+v", before)
		}
		w.is(6, "nodes/a/x", "")
		w.is(7, "nodes/a/x", "6")
		w.same()
	})
}
