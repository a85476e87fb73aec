package converge_test

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"github.com/platypus-platform/platypus/agents/converge"
)

// guarded gives the host's loop a guard that keeps what it marks as held: such a name is added to the desired ones.
func guarded(h *host, gone func(string) (bool, error), confirmed func([]string) (bool, error)) *loop {
	l := h.loop()
	l.Guard = &converge.Guard[[]string, map[string]bool]{
		Owned:     func(have map[string]bool) []string { return slices.Collect(maps.Keys(have)) },
		Wanted:    func(want []string) []string { return want },
		Gone:      func(_ context.Context, name string) (bool, error) { return gone(name) },
		Confirmed: func(_ context.Context, removes []string) (bool, error) { return confirmed(removes) },
		Hold: func(want []string, subjects map[string]string, everything *converge.Held) []string {
			if everything != nil {
				return slices.Collect(maps.Keys(h.has)) // nothing may change, not even for the better
			}
			return append(slices.Clone(want), slices.Sorted(maps.Keys(subjects))...)
		},
	}
	return l
}

func TestGuard_MassRemoval_Held(t *testing.T) {
	for _, test := range []struct {
		owned, wanted []string
		confirmed     bool
		held          bool
		kept          int
	}{
		{[]string{"a", "b", "c"}, []string{"a", "b"}, false, false, 0},
		{[]string{"a", "b", "c"}, []string{"a"}, false, true, 2},
		{[]string{"a", "b", "c"}, []string{"a"}, true, false, 0},
		{[]string{"a"}, nil, false, false, 0},
		{[]string{"a", "gone-unsure"}, []string{"a"}, false, false, 1},
	} {
		t.Run(fmt.Sprint(test), func(t *testing.T) {
			kept, held := 0, false
			l := newHost().loop()
			l.Guard = &converge.Guard[[]string, map[string]bool]{
				Owned:  func(map[string]bool) []string { return test.owned },
				Wanted: func(d []string) []string { return d },
				Gone: func(_ context.Context, s string) (bool, error) {
					if s == "gone-unsure" {
						return false, errors.New("permission denied")
					}
					return true, nil
				},
				Confirmed: func(context.Context, []string) (bool, error) { return test.confirmed, nil },
				Hold: func(d []string, subjects map[string]string, everything *converge.Held) []string {
					kept, held = len(subjects), everything != nil
					return d
				},
			}
			p := l.Once(t.Context(), test.wanted)
			if held != test.held || kept != test.kept || (p.Held != nil) != test.held {
				t.Fatalf("held %v kept %d pass %+v", held, kept, p)
			}
		})
	}
}

func TestGuard_NotConfirmedByStore_Kept(t *testing.T) {
	denied := errors.New("permission denied")
	for name, gone := range map[string]func(string) (bool, error){
		"an error":       func(string) (bool, error) { return false, denied },
		"error and gone": func(string) (bool, error) { return true, denied },
		"still declared": func(string) (bool, error) { return false, nil },
	} {
		h := newHost()
		h.has["a"], h.has["b"], h.has["c"] = true, true, true
		l := guarded(h, gone, func([]string) (bool, error) { return true, nil })
		if p := l.Once(t.Context(), []string{"a", "b"}); !h.has["c"] || len(p.Steps) != 0 {
			t.Errorf("%s: host %v, pass %+v", name, h.has, p)
		}
		if steps, err := l.DryRun(t.Context(), []string{"a", "b"}); err != nil || len(steps) != 0 {
			t.Errorf("%s: dry run %v, %v", name, steps, err)
		}
	}
}

func TestGuard_ConfirmationUnreadable_Held(t *testing.T) {
	h := newHost()
	h.has["a"], h.has["b"] = true, true
	l := guarded(h, func(string) (bool, error) { return true, nil }, func([]string) (bool, error) { return true, errors.New("no leader") })
	p := l.Once(t.Context(), nil)
	if p.Held == nil || p.Err != nil || p.Converged() || len(h.has) != 2 {
		t.Fatalf("pass %+v, host %v", p, h.has)
	}
	if text := p.Held.String(); !strings.Contains(text, "2 of 2") || !strings.Contains(text, "platypus confirm") {
		t.Errorf("it says %q", text)
	}
}

// Nothing is removed without the store's confirmation; more than half, and at least two, not without a person's.
func TestGuard_RandomStates_MatchTheStatedRule(t *testing.T) {
	name := rapid.SampledFrom([]string{"a", "b", "c", "d", "e", "f"})
	rapid.Check(t, func(t *rapid.T) {
		h := newHost()
		owned := rapid.SliceOfDistinct(name, rapid.ID).Draw(t, "owned")
		for _, n := range owned {
			h.has[n] = true
		}
		want := rapid.SliceOfDistinct(name, rapid.ID).Draw(t, "want")
		sure := rapid.SliceOfDistinct(name, rapid.ID).Draw(t, "sure")
		agreed := rapid.SliceOfDistinct(name, rapid.ID).Draw(t, "agreed")
		l := guarded(h, func(n string) (bool, error) { return slices.Contains(sure, n), nil }, func(removes []string) (bool, error) {
			return !slices.ContainsFunc(removes, func(n string) bool { return !slices.Contains(agreed, n) }), nil
		})
		p := l.Once(context.Background(), want)
		var vanished, removed []string
		for _, n := range owned {
			if !slices.Contains(want, n) {
				vanished = append(vanished, n)
			}
			if !h.has[n] {
				removed = append(removed, n)
			}
		}
		mass := len(vanished) >= 2 && 2*len(vanished) > len(owned)
		allowed := true
		for _, n := range vanished {
			allowed = allowed && slices.Contains(agreed, n)
		}
		for _, n := range vanished {
			wantGone := slices.Contains(sure, n) && (!mass || allowed)
			if wantGone != slices.Contains(removed, n) {
				t.Fatalf("%s removed %v, want %v: vanished %v", n, !wantGone, wantGone, vanished)
			}
		}
		for _, n := range removed {
			if !slices.Contains(vanished, n) {
				t.Fatalf("%s was wanted and is removed", n)
			}
		}
		if (p.Held != nil) != (mass && !allowed) {
			t.Fatalf("held %v, mass %v, allowed %v", p.Held, mass, allowed)
		}
	})
}

// A store that declares nothing for anybody is more likely a new or a wrong one
// than a wish, also for a host that has but one subject.
func TestGuard_StoreEmpty_HoldsOneOfOne(t *testing.T) {
	for _, blank := range []bool{true, false} {
		kept := 0
		l := &converge.Loop[[]string, []string, step]{
			Observe: func(context.Context) ([]string, error) { return []string{"a"}, nil },
			Plan:    func([]string, []string) []step { return nil },
			Apply:   func(context.Context, step) error { return nil },
			States:  func([]string, []string) map[string]converge.State { return nil },
			Guard: &converge.Guard[[]string, []string]{
				Owned:     func(owned []string) []string { return owned },
				Wanted:    func(wanted []string) []string { return wanted },
				Gone:      func(context.Context, string) (bool, error) { return true, nil },
				Blank:     func(context.Context) (bool, error) { return blank, nil },
				Confirmed: func(context.Context, []string) (bool, error) { return false, nil },
				Hold: func(d []string, subjects map[string]string, _ *converge.Held) []string {
					kept = len(subjects)
					return d
				},
			},
		}
		p := l.Once(t.Context(), nil)
		if held := p.Held != nil; held != blank || (kept == 1) != blank {
			t.Errorf("blank %v: held %v, %d kept", blank, held, kept)
		}
	}
}

// Printing no step at all would read like "nothing to do".
func TestDryRun_Held_IsLogged(t *testing.T) {
	h := newHost()
	h.has["a"], h.has["b"] = true, true
	l := guarded(h, func(string) (bool, error) { return true, nil }, func([]string) (bool, error) { return false, nil })
	said := &lineLog{}
	l.Log = said
	if steps, err := l.DryRun(t.Context(), nil); err != nil || len(steps) != 0 {
		t.Errorf("dry run %v, %v", steps, err)
	}
	if !strings.Contains(said.text, "held: 2 of 2 would be removed at once") {
		t.Errorf("it says %q", said.text)
	}
}

// lineLog collects the log lines of the loop.
type lineLog struct{ text string }

func (l *lineLog) Info(_, text string) { l.text += text + "\n" }

func (l *lineLog) Warn(_, text string) { l.text += text + "\n" }
