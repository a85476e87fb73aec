package main

import (
	"slices"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/platypus-platform/platypus/agents/converge"
)

// model is a tree and its history as the oracle sees them: values by key, and numbers of commits.
type model struct {
	tree, recorded map[string]string
	seq, floor     uint64
	oldest         uint64 // the first commit that must be kept
}

func drawModel(t *rapid.T) model {
	w := model{tree: map[string]string{}, recorded: map[string]string{}, seq: rapid.Uint64Range(0, 50).Draw(t, "seq")}
	for _, key := range []string{"clusters/a/p/config", "nodes/n/a", "nodes/n/b"} {
		for i, m := range []map[string]string{w.tree, w.recorded} {
			if v := rapid.SampledFrom([]string{"", "1", "2"}).Draw(t, key); v != "" && (i == 0 || w.seq > 0) {
				m[key] = v
			}
		}
	}
	if w.seq > 0 {
		w.floor = rapid.Uint64Range(0, w.seq).Draw(t, "floor")
		w.oldest = rapid.Uint64Range(1, w.seq).Draw(t, "oldest")
	}
	return w
}

// actual is what observe would see of the world.
func (w model) actual() Actual {
	a := Actual{Seq: w.seq, Keys: len(w.tree), Floor: w.floor}
	for key, v := range w.tree {
		if w.recorded[key] != v {
			a.Pending = append(a.Pending, Pending{key, "written"})
		}
	}
	for key := range w.recorded {
		if _, there := w.tree[key]; !there {
			a.Pending = append(a.Pending, Pending{key, "deleted"})
		}
	}
	slices.SortFunc(a.Pending, func(x, y Pending) int { return strings.Compare(x.Key, y.Key) })
	if w.oldest > w.floor {
		a.Excess = w.oldest
	}
	return a
}

// do is what a step does to the world.
func (w *model) do(s converge.Step) {
	switch s := s.(type) {
	case Record:
		w.recorded = map[string]string{}
		for key, v := range w.tree {
			w.recorded[key] = v
		}
		w.seq++
	case Compact:
		w.floor = s.Before
	}
}

var keep = Desired{Keep: Keep{Commits: 10, Age: time.Hour}}

// TestPlan_AnyState_Converges: all steps lead to a tree that is recorded and a history that is no longer than it must
// be, and then nothing is left to do. A prefix of the steps, and each step alone, does no harm.
func TestPlan_AnyState_Converges(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		w := drawModel(t)
		steps := plan(keep, w.actual())
		n := rapid.IntRange(0, len(steps)).Draw(t, "crash after")
		for _, s := range steps[:n] {
			w.do(s)
		}
		for _, s := range plan(keep, w.actual()) {
			w.do(s)
		}
		if left := plan(keep, w.actual()); len(left) > 0 {
			t.Fatalf("still to do: %v", left)
		}
		for key, v := range w.tree {
			if w.recorded[key] != v {
				t.Fatalf("%s is not recorded", key)
			}
		}
		if len(w.recorded) != len(w.tree) {
			t.Fatalf("recorded %v, there is %v", w.recorded, w.tree)
		}
		if w.oldest > 1 && w.floor < w.oldest {
			t.Fatalf("commits from %d on are kept, from %d on must be", w.floor, w.oldest)
		}
	})
}

// TestPlan_AnyState_KeepsRequired: nothing that must be kept goes, nothing goes when all is to be kept, and nothing is
// recorded twice.
func TestPlan_AnyState_KeepsRequired(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		w := drawModel(t)
		all := keep
		all.Keep.All = true
		for _, s := range plan(all, w.actual()) {
			if c, is := s.(Compact); is {
				t.Fatalf("%v although all is to be kept", c)
			}
		}
		for _, s := range plan(keep, w.actual()) {
			switch s := s.(type) {
			case Compact:
				if s.Before > w.oldest {
					t.Fatalf("%v, but commits from %d on must be kept", s, w.oldest)
				}
			case Record:
				if len(w.actual().Pending) != s.Count || s.New != (w.seq == 0) {
					t.Fatalf("%+v of %+v", s, w.actual())
				}
			}
		}
	})
}

func TestStep_Strings(t *testing.T) {
	for want, s := range map[string]converge.Step{
		"record nodes/n/a (deleted)":                                                      Record{Count: 1, First: "nodes/n/a (deleted)"},
		"record nodes/n/a (written), and what happened to 2 more keys":                    Record{Count: 3, First: "nodes/n/a (written)"},
		"begin the history with the 3 keys that are declared":                             Record{Count: 3, First: "x", New: true},
		"let go of the commits before 7: they are older and more than what is to be kept": Compact{Before: 7},
	} {
		if s.String() != want {
			t.Errorf("%q, want %q", s, want)
		}
	}
}

// TestStates_PinnedRetention: who looks at the report is told what keeps more than was asked for.
func TestStates_PinnedRetention(t *testing.T) {
	got := states(Desired{Keep: Keep{Commits: 5}}, Actual{Seq: 300, Pin: "mirror git, which has commit 20 since 2026-11-30"})[retention]
	if want := "more could go but for mirror git, which has commit 20 since 2026-11-30"; got.Reason != want {
		t.Errorf("%q, want %q", got.Reason, want)
	}
}
