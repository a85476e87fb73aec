package converge_test

import (
	"context"
	"errors"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/platypus-platform/platypus/agents/converge"
)

// door is a subject with two steps in a row: the new is opened, then the old is closed, which somebody may still use.
type door struct{ what string }

func (d door) Subject() string { return "door" }
func (d door) String() string  { return d.what }
func (d door) Destroys() bool  { return d.what == "close" }

// doors makes a loop over a host with "new" and "old", of which the latter may be closed once reread says so.
func doors(h *host, reread func() ([]string, error)) *converge.Loop[[]string, map[string]bool, door] {
	return &converge.Loop[[]string, map[string]bool, door]{
		Observe: h.observe, Resync: time.Second,
		Plan: func(want []string, have map[string]bool) (steps []door) {
			if !have["new"] {
				steps = append(steps, door{"open"})
			}
			if have["old"] && !slices.Contains(want, "old") {
				steps = append(steps, door{"close"})
			}
			return steps
		},
		Apply: func(_ context.Context, s door) error {
			h.set(func() {
				h.tries[s.what]++
				switch {
				case s.what == "close":
					delete(h.has, "old")
				case !h.stuck["new"]:
					h.has["new"] = true
				}
			})
			return nil
		},
		States: func([]string, map[string]bool) map[string]converge.State {
			return map[string]converge.State{"door": {Phase: converge.Converged}}
		},
		Guard: &converge.Guard[[]string, map[string]bool]{
			Owned: func(map[string]bool) []string { return nil }, Wanted: func([]string) []string { return nil },
			Reread: func(context.Context) ([]string, error) { return reread() },
		},
	}
}

// TestNothingWaitsForADoubt: what opens does so at once, and again when somebody undoes it, while for an hour nobody can
// say whether something may be closed. The store is not asked more often for that.
func TestNothingWaitsForADoubt(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := newHost()
		h.has["old"] = true
		reads, down := 0, true
		l := doors(h, func() ([]string, error) {
			h.Lock()
			defer h.Unlock()
			if reads++; down {
				return nil, errors.New("no leader")
			}
			return []string{"new"}, nil
		})
		var last converge.Pass
		l.Report = func(p converge.Pass) { last = p }
		desired := make(chan []string, 1)
		desired <- []string{"new"}
		ctx, cancel := context.WithCancel(t.Context())
		defer func() { cancel(); synctest.Wait() }()
		go l.Run(ctx, desired)
		for range 600 {
			after(4 * time.Second)
			if !h.holds("new") || !h.holds("old") {
				t.Fatalf("host %v", h.has)
			}
			h.set(func() { delete(h.has, "new") })
			after(2 * time.Second) // the pass after the next resync heals it
			if !h.holds("new") {
				t.Fatal("what is to be open waits for what is to be closed")
			}
		}
		if o := last.Outcomes["door"]; o.Phase != converge.Unconfirmed || o.Err == nil || o.Attempts < 50 || reads > 100 || last.Converged() {
			t.Errorf("outcome %+v after %d reads", o, reads)
		}
		h.set(func() { down = false })
		after(2 * time.Minute)
		if h.holds("old") || !last.Converged() {
			t.Errorf("it is never closed: %+v", last)
		}
	})
}

// TestADoubtDoesNotSpin: a step before the one in doubt that goes well and changes nothing is not done for ever at once.
func TestADoubtDoesNotSpin(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := newHost()
		h.has["old"], h.stuck["new"] = true, true
		desired := make(chan []string, 1)
		desired <- []string{"new"}
		ctx, cancel := context.WithCancel(t.Context())
		defer func() { cancel(); synctest.Wait() }()
		go doors(h, func() ([]string, error) { return nil, errors.New("no leader") }).Run(ctx, desired)
		after(time.Hour)
		if n := h.tried("open"); n > 10_000 {
			t.Errorf("%d tries in an hour", n)
		}
	})
}

// TestADryRunTellsNoDoubtfulStep, for Apply would not do it either.
func TestADryRunTellsNoDoubtfulStep(t *testing.T) {
	for _, sure := range []bool{false, true} {
		h := newHost()
		h.has["old"] = true
		steps, err := doors(h, func() ([]string, error) {
			if !sure {
				return []string{"new", "old"}, nil
			}
			return []string{"new"}, nil
		}).DryRun(t.Context(), []string{"new"})
		if want := []door{{"open"}, {"close"}}[:1+map[bool]int{true: 1}[sure]]; err != nil || !slices.Equal(steps, want) {
			t.Errorf("sure %t: %v, %v", sure, steps, err)
		}
	}
}

// TestALongOutageIsNoUnrest: a step that failed for hours and then goes well has settled.
func TestALongOutageIsNoUnrest(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := newHost()
		h.broken["a"] = errors.New("no room")
		l := h.loop()
		said := &logged{}
		l.Log = said
		running(t, l, "a")
		after(3 * time.Hour)
		h.set(func() { delete(h.broken, "a") })
		after(5 * time.Minute)
		if text := strings.Join(said.lines, "\n"); !h.holds("a") || strings.Contains(text, converge.ErrUnsettled.Error()) {
			t.Errorf("host %v, and it says:\n%s", h.has, text)
		}
	})
}
