package history_test

import (
	"errors"
	"fmt"
	"slices"
	"testing"

	"github.com/platypus-platform/platypus/intent"
	"github.com/platypus-platform/platypus/store"
	"github.com/platypus-platform/platypus/store/history"
)

// fork is the harness of a fork.
func (w *world) fork(name intent.Name, seq uint64) *world {
	w.Helper()
	if _, err := w.log.Fork(w.Context(), name, seq, history.Note{Author: me, Message: "try"}); err != nil {
		w.Fatal(err)
	}
	tree := w.tree.Fork(name)
	return &world{w.T, w.store, tree, history.Open(w.store, tree)}
}

func TestFork(t *testing.T) {
	each(t, func(t *testing.T, w *world) {
		var edits []history.Edit
		for i := range 120 {
			edits = append(edits, edit(fmt.Sprintf("nodes/web%d/slug", i), `{"cluster":"a"}`))
		}
		w.commit("all", edits...)
		w.commit("later", edit("nodes/web1/slug", `{"cluster":"b"}`))
		f := w.fork("staging", 1)
		f.same()
		f.is(1, "nodes/web1/slug", `{"cluster":"a"}`)
		if got := f.observe(); len(got) != 0 {
			t.Errorf("a new fork is what its history says: %+v", got)
		}
		// Agents see a fork only through its root.
		tree, err := intent.ParseRoot(f.tree.Root())
		if err != nil {
			t.Fatal(err)
		}
		if snapshot, err := w.store.ReadNode(t.Context(), tree, "web7", store.Default); err != nil || len(snapshot.Pairs) != 1 {
			t.Errorf("%+v, %v", snapshot, err)
		}
		c := f.commit("in the fork", edit("nodes/web1/slug", `{"cluster":"c"}`))
		f.is(c.Seq, "nodes/web1/slug", `{"cluster":"c"}`)
		w.is(2, "nodes/web1/slug", `{"cluster":"b"}`)
		f.same()
		w.same()
		if _, err := w.log.Fork(t.Context(), "staging", 1, history.Note{}); !errors.Is(err, history.ErrExists) {
			t.Errorf("a name that is taken: %v", err)
		}
		refs, err := f.log.Ancestors(t.Context())
		if err != nil || !slices.Equal(refs, []history.Ref{{Root: w.tree.Root(), Seq: 1}}) {
			t.Errorf("%+v, %v", refs, err)
		}
		if err := w.log.RemoveFork(t.Context(), "staging", 0); err != nil {
			t.Fatal(err)
		}
		if blank, err := w.store.Blank(t.Context(), f.tree.Own()); err != nil || !blank {
			t.Errorf("something is left: %v", err)
		}
		if forks, err := w.log.Forks(t.Context()); err != nil || len(forks) != 0 {
			t.Errorf("%+v, %v", forks, err)
		}
		w.fork("staging", 2).same()
	})
}

// TestFork_Killed_IsContinued kills the creation of a fork at each request; the next call finishes it, and until then
// nobody can write to it.
func TestFork_Killed_IsContinued(t *testing.T) {
	at := addresses["embedded"](t)
	for _, worst := range []fate{unsent, unheard} {
		for n, more := 1, true; more; n++ {
			w, x := newWorld(t, at), between(t, at)
			for i := range 3 {
				var edits []history.Edit
				for j := range 100 {
					edits = append(edits, edit(fmt.Sprintf("nodes/web%d-%d/slug", i, j), `{"cluster":"a"}`))
				}
				w.commit("some", edits...)
			}
			x.now(dies(n, worst))
			_, _ = history.Open(opened(t, x.URL), w.tree).Fork(t.Context(), "f", 2, history.Note{Author: me})
			more = x.count() >= n
			x.now(nil)
			half, begun, err2 := history.Open(w.store, w.tree.Fork("f")).Forked(t.Context())
			if err2 != nil {
				t.Fatal(err2)
			}
			if begun && half.State == history.Creating {
				_, err := history.Open(w.store, w.tree.Fork("f")).Commit(t.Context(), history.Request{Edits: []history.Edit{edit("nodes/web1/x", "1")}})
				if !errors.Is(err, history.ErrHeld) {
					t.Fatalf("request %d: a commit to half a fork: %v", n, err)
				}
			}
			if half.State != history.Ready {
				w.fork("f", 0).same()
			} else {
				f := &world{t, w.store, w.tree.Fork("f"), history.Open(w.store, w.tree.Fork("f"))}
				f.same()
			}
		}
	}
}

func TestCommon(t *testing.T) {
	each(t, func(t *testing.T, w *world) {
		w.commit("1", edit("nodes/a/x", "1"))
		f := w.fork("f", 0)
		main, fork := w.tree.Root(), f.tree.Root()
		common := func(a *world, b *world, want ...history.Common) {
			t.Helper()
			got, err := a.log.Common(t.Context(), b.tree)
			if err != nil || !slices.Equal(got, want) {
				t.Fatalf("%+v, %v, want %+v", got, err, want)
			}
		}
		common(w, f, history.Common{Base: history.Ref{Root: main, Seq: 1}, Ours: 1, Theirs: 1})
		common(f, w, history.Common{Base: history.Ref{Root: main, Seq: 1}, Ours: 1, Theirs: 1})
		join := func(into, from *world, seq uint64, edits ...history.Edit) history.Commit {
			t.Helper()
			c, err := into.log.Commit(t.Context(), history.Request{Kind: history.Join, Edits: edits,
				Joined: &history.Joined{Fork: f.tree, Source: history.Ref{Root: from.tree.Root(), Seq: seq}}})
			if err != nil {
				t.Fatal(err)
			}
			return c
		}
		f.commit("2 in the fork", edit("nodes/a/x", "2"))
		c := join(w, f, 2, edit("nodes/a/x", "2"))
		if !slices.Equal(c.Note.Parents, []history.Ref{{Root: fork, Seq: 2}}) {
			t.Errorf("%+v", c)
		}
		common(w, f, history.Common{Base: history.Ref{Root: fork, Seq: 2}, Ours: 2, Theirs: 2})
		w.commit("3 in the tree", edit("nodes/b/x", "3"))
		join(f, w, 3, edit("nodes/b/x", "3"))
		common(w, f, history.Common{Base: history.Ref{Root: main, Seq: 3}, Ours: 3, Theirs: 3})
		// Each joins the other as it was before the other's join: neither is newer.
		join(w, f, 2)
		w.commit("5", edit("nodes/b/x", "5"))
		f.commit("4", edit("nodes/a/x", "4"))
		join(w, f, 4, edit("nodes/a/x", "4"))
		join(f, w, 5, edit("nodes/b/x", "5"))
		common(w, f, history.Common{Base: history.Ref{Root: fork, Seq: 4}, Ours: 6, Theirs: 4},
			history.Common{Base: history.Ref{Root: main, Seq: 5}, Ours: 5, Theirs: 5})
		if _, err := w.log.Common(t.Context(), anyTree(t)); !errors.Is(err, history.ErrNoSuch) {
			t.Error(err)
		}
	})
}

// TestForkLoss_CountsWhatIsNowhereElse: joined work is not lost with a fork; later work, plain writes and nested forks
// are.
func TestForkLoss_CountsWhatIsNowhereElse(t *testing.T) {
	each(t, func(t *testing.T, w *world) {
		w.commit("first", edit("nodes/web1/slug", "1"))
		f := w.fork("staging", 0)
		loss := func() history.ForkLoss {
			t.Helper()
			loss, err := w.log.ForkLoss(t.Context(), "staging")
			if err != nil {
				t.Fatal(err)
			}
			return loss
		}
		if l := loss(); l.Any() {
			t.Errorf("of a new fork: %+v", l)
		}
		c := f.commit("in the fork", edit("nodes/web1/slug", "2"))
		f.plain("nodes/web2/slug", "1")
		f.fork("inner", 0).fork("innermost", 0)
		if l := loss(); l.Unjoined != 1 || l.Plain != 1 || !slices.Equal(l.Forks, []string{"inner", "inner/innermost"}) {
			t.Errorf("%+v", l)
		}
		if _, err := w.log.Commit(t.Context(), history.Request{Kind: history.Join, Edits: []history.Edit{edit("nodes/web1/slug", "2")},
			Joined: &history.Joined{Fork: f.tree, Source: history.Ref{Root: f.tree.Root(), Seq: c.Seq}}}); err != nil {
			t.Fatal(err)
		}
		if l := loss(); l.Unjoined != 0 || l.Plain != 1 {
			t.Errorf("after the join: %+v", l)
		}
		if err := w.log.RemoveFork(t.Context(), "staging", c.Seq-1); !errors.Is(err, history.ErrChanged) {
			t.Errorf("work came in between: %v", err)
		}
		f.is(c.Seq, "nodes/web1/slug", "2")
		if err := w.log.RemoveFork(t.Context(), "staging", c.Seq); err != nil {
			t.Error(err)
		}
	})
}
