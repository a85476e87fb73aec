package history_test

import (
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/platypus-platform/platypus/store/embedtest"
	"github.com/platypus-platform/platypus/store/history"
)

func TestExpectations(t *testing.T) {
	each(t, func(t *testing.T, w *world) {
		first := w.commit("", edit("nodes/a/x", "1"), edit("nodes/b/x", "1"))
		try := func(r history.Request) error {
			_, err := w.log.Commit(t.Context(), r)
			return err
		}
		live, err := w.log.Live(t.Context(), "nodes/a/x", "nodes/b/x", "nodes/c/x")
		if err != nil || live["nodes/a/x"] != first.Index || live["nodes/c/x"] != 0 {
			t.Fatal(live, err)
		}
		w.plain("nodes/b/x", "2")
		if err := try(history.Request{Edits: []history.Edit{edit("nodes/a/x", "2")}, Expect: live}); !errors.Is(err, history.ErrChanged) || !strings.Contains(err.Error(), "nodes/b/x") {
			t.Errorf("a key beside it changed: %v", err)
		}
		if err := try(history.Request{Edits: []history.Edit{edit("nodes/a/x", "2")}, CheckIndex: first.Index}); !errors.Is(err, history.ErrChanged) {
			t.Errorf("the tree changed: %v", err)
		}
		live, _ = w.log.Live(t.Context(), "nodes/a/x", "nodes/b/x", "nodes/c/x")
		if err := try(history.Request{Edits: []history.Edit{edit("nodes/a/x", "2")}, Expect: live}); err != nil {
			t.Error(err)
		}
		s, err := w.log.Survey(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		if err := try(history.Request{Edits: []history.Edit{edit("nodes/a/x", "3")}, CheckIndex: s.Index}); err != nil {
			t.Error(err)
		}
		if err := try(history.Request{Edits: []history.Edit{{Key: "nodes/none/x", Delete: true}}}); !errors.Is(err, history.ErrUnchanged) {
			t.Errorf("a delete of what is absent: %v", err)
		}
		w.observe()
		w.same()
	})
}

func TestHolds(t *testing.T) {
	each(t, func(t *testing.T, w *world) {
		w.commit("", edit("clusters/x/c/config", "1"), edit("nodes/b/x", "1"))
		h, err := w.log.Hold(t.Context(), history.Hold{Key: "clusters/x/", Author: me, Until: time.Now().Add(time.Hour), Why: "taken back"})
		if err != nil || h.Seq != 1 {
			t.Fatal(h, err)
		}
		other := history.Open(w.store, w.tree)
		_, err = other.Commit(t.Context(), history.Request{Edits: []history.Edit{edit("nodes/b/x", "2"), edit("clusters/x/c/config", "2")}})
		if !errors.Is(err, history.ErrHeld) || !strings.Contains(err.Error(), "ann@desk") || !strings.Contains(err.Error(), "taken back") {
			t.Errorf("held: %v", err)
		}
		w.commit("", edit("nodes/b/x", "2"))
		if _, err = other.Commit(t.Context(), history.Request{Edits: []history.Edit{edit("clusters/x/c/config", "2")}, Force: true}); err != nil {
			t.Error(err)
		}
		if err := w.log.Unhold(t.Context(), "clusters/x/"); err != nil {
			t.Fatal(err)
		}
		if _, err := w.log.Hold(t.Context(), history.Hold{Key: "nodes/b/x", Author: me, Until: time.Now().Add(-time.Second)}); err != nil {
			t.Fatal(err)
		}
		w.commit("the hold has ended", edit("nodes/b/x", "3"), edit("clusters/x/c/config", "3"))
	})
}

func TestTags(t *testing.T) {
	each(t, func(t *testing.T, w *world) {
		if _, err := w.log.Tag(t.Context(), history.Tag{Name: "early"}); !errors.Is(err, history.ErrNoSuch) {
			t.Error(err)
		}
		for range 3 {
			w.commit("", edit("nodes/b/x", time.Now().String()))
		}
		newest, err := w.log.Tag(t.Context(), history.Tag{Name: "rel-2", Note: "good", Author: me})
		if err != nil || newest.Seq != 3 {
			t.Fatalf("the default is the newest: %+v, %v", newest, err)
		}
		if _, err := w.log.Tag(t.Context(), history.Tag{Name: "rel-1", Seq: 1}); err != nil {
			t.Fatal(err)
		}
		if _, err := w.log.Tag(t.Context(), history.Tag{Name: "rel-1", Seq: 2}); !errors.Is(err, history.ErrExists) {
			t.Error(err)
		}
		if _, err := w.log.Tag(t.Context(), history.Tag{Name: "rel-9", Seq: 9}); !errors.Is(err, history.ErrNoSuch) {
			t.Error(err)
		}
		if _, err := w.log.Tag(t.Context(), history.Tag{Name: "../x"}); err == nil {
			t.Error("a tag is a name")
		}
		tags, err := w.log.Tags(t.Context())
		if err != nil || len(tags) != 2 || tags[0].Name != "rel-1" || tags[1] != newest {
			t.Fatal(tags, err)
		}
		if got, err := w.log.Tagged(t.Context(), "rel-2"); err != nil || got != newest {
			t.Error(got, err)
		}
		if err := w.log.Untag(t.Context(), "rel-2"); err != nil {
			t.Error(err)
		}
		if _, err := w.log.Tagged(t.Context(), "rel-2"); !errors.Is(err, history.ErrNoSuch) {
			t.Error(err)
		}
	})
}

func TestLog_UnknownCommits_ReturnErrNoSuch(t *testing.T) {
	w := newWorld(t, embedtest.Start(t))
	if state, err := w.log.At(t.Context(), 0); err != nil || state.Len() != 0 {
		t.Error(state, err)
	}
	if seq, err := w.log.SeqAt(t.Context(), time.Now()); err != nil || seq != 0 {
		t.Error(seq, err)
	}
	c := w.commit("", edit("nodes/b/x", "1"))
	if _, err := w.log.Show(t.Context(), 2); !errors.Is(err, history.ErrNoSuch) || !strings.Contains(err.Error(), "the newest is 1") {
		t.Error(err)
	}
	if _, _, err := w.log.Get(t.Context(), "nodes/b/x", 7); !errors.Is(err, history.ErrNoSuch) {
		t.Error(err)
	}
	if seq, err := w.log.SeqAt(t.Context(), c.At.Add(-time.Hour)); err != nil || seq != 0 {
		t.Error(seq, err)
	}
}

// TestImport moves a history to another store, and back to where it was lost.
func TestImport(t *testing.T) {
	each(t, func(t *testing.T, w *world) {
		p := newPast(w, 230)
		was := w.all(history.Query{})
		other := newWorldOn(w)
		if _, err := other.log.Import(t.Context(), history.Open(w.store, w.tree).Commits(t.Context(), history.Query{Oldest: true, Values: true})); err != nil {
			t.Fatal(err)
		}
		(&past{other, p.rng, p.states}).reads(0)
		is := other.all(history.Query{})
		if len(is) != len(was) {
			t.Fatalf("%d commits, were %d", len(is), len(was))
		}
		for i, c := range is {
			o := was[i]
			if c.ID != o.ID || !c.At.Equal(o.At) || c.Note.Author != o.Note.Author || c.Note.Message != o.Note.Message || c.Kind != o.Kind || len(c.Changes) != len(o.Changes) {
				t.Fatalf("%+v, was %+v", c, o)
			}
		}
		if _, err := other.log.Import(t.Context(), w.log.Commits(t.Context(), history.Query{Oldest: true, Values: true})); !errors.Is(err, history.ErrExists) {
			t.Errorf("over a history: %v", err)
		}
		// The tree itself is brought back as any change is.
		state, err := other.log.At(t.Context(), 230)
		if err != nil {
			t.Fatal(err)
		}
		other.observe() // that there is nothing
		var edits []history.Edit
		for v := range state.All("") {
			edits = append(edits, history.Edit{Key: v.Key, Value: v.Data})
		}
		other.commit("restore", edits...)
		other.same()
	})
}
