package converge_test

import (
	"context"
	"errors"
	"maps"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/platypus-platform/platypus/agents/converge"
)

// Destroys makes removals the steps that must be confirmed.
func (s step) Destroys() bool { return s.what == "remove" }

// reread gives the host's loop a guard that reads intent again before a destructive step.
func reread(h *host, read func() ([]string, error)) *loop {
	l := guarded(h, func(string) (bool, error) { return true, nil }, func([]string) (bool, error) { return true, nil })
	l.Guard.Reread = func(context.Context) ([]string, error) { return read() }
	return l
}

// A removal that a stale read asks for does not happen; every other step does.
func TestDestructiveStep_StaleIntent_NeedsConsistentRead(t *testing.T) {
	for name, test := range map[string]struct {
		read func() ([]string, error)
		gone bool
		says string
	}{
		"confirmed":      {func() ([]string, error) { return []string{"a", "new"}, nil }, true, ""},
		"still declared": {func() ([]string, error) { return []string{"a", "b", "new"}, nil }, false, "does not ask for it"},
		"out of reach":   {func() ([]string, error) { return nil, errors.New("no leader") }, false, "no leader"},
	} {
		t.Run(name, func(t *testing.T) {
			h := newHost()
			h.has = map[string]bool{"a": true, "b": true}
			reads := 0
			p := reread(h, func() ([]string, error) { reads++; return test.read() }).Once(t.Context(), []string{"a", "new"})
			if h.has["b"] == test.gone || !h.has["new"] || reads != 1 {
				t.Errorf("host %v after %d reads", h.has, reads)
			}
			if err := p.Outcomes["b"].Err; test.says == "" && err != nil || test.says != "" && (err == nil || !strings.Contains(err.Error(), test.says)) {
				t.Errorf("outcome %+v", p.Outcomes["b"])
			}
		})
	}
}

// The load on the store does not grow with the number of removals.
func TestDestructiveStep_ManyRemovals_ReadStoreOnce(t *testing.T) {
	h := newHost()
	for _, name := range strings.Split("abcdefghij", "") {
		h.has[name] = true
	}
	reads := 0
	reread(h, func() ([]string, error) { reads++; return []string{"a"}, nil }).Once(t.Context(), []string{"a"})
	if reads != 1 || len(h.has) != 1 {
		t.Errorf("%d reads, host %v", reads, h.has)
	}
}

// The removal waits, backs off, and happens once the store answers again.
func TestDestructiveStep_StoreDown_BacksOffUntilConfirmed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := newHost()
		h.has = map[string]bool{"a": true, "b": true}
		down, reads := true, 0
		l := reread(h, func() ([]string, error) {
			h.Lock()
			defer h.Unlock()
			if reads++; down {
				return nil, errors.New("out of reach")
			}
			return []string{"a"}, nil
		})
		running(t, l, "a")
		after(time.Hour)
		if !h.holds("b") || reads > 100 {
			t.Fatalf("host %v after %d reads", h.has, reads)
		}
		h.set(func() { down = false })
		after(2 * time.Minute)
		if h.holds("b") {
			t.Fatal("it is never removed")
		}
	})
}

// Concurrent work on a/1 and a/2 is reported as the state of a.
func TestOutcome_PartsOfSubject_MergedIntoParent(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := newHost()
		h.broken["a/1"] = errors.New("no room")
		l := h.loop()
		l.States = func([]string, map[string]bool) map[string]converge.State {
			return map[string]converge.State{"a": {Want: "1, 2", Phase: converge.Converged}}
		}
		var last converge.Pass
		l.Report = func(p converge.Pass) { last = p }
		running(t, l, "a/1", "a/2", "b/1")
		after(20 * time.Second)
		o := last.Outcomes["a"]
		if o.Phase != converge.Failed || o.Attempts != 5 || o.Err == nil || !o.NextTry.After(time.Now()) || o.Want != "1, 2" {
			t.Errorf("outcome %+v", o)
		}
		if names := slices.Sorted(maps.Keys(last.Outcomes)); !slices.Equal(names, []string{"a"}) {
			t.Errorf("subjects %q", names)
		}
		h.set(func() { delete(h.broken, "a/1") })
		after(2 * time.Minute)
		if o := last.Outcomes["a"]; o.Phase != converge.Converged || o.Attempts != 0 || o.Err != nil {
			t.Errorf("outcome %+v", o)
		}
	})
}

// A part whose parent has no state is reported by its own name.
func TestOutcome_PartWithoutParent_ReportedByItself(t *testing.T) {
	h := newHost()
	h.broken["a/1"] = errors.New("no room")
	l := h.loop()
	l.States = func([]string, map[string]bool) map[string]converge.State { return nil }
	if p := l.Once(t.Context(), []string{"a/1"}); p.Outcomes["a/1"].Attempts != 1 || !p.Failed() {
		t.Errorf("pass %+v", p)
	}
}

// Hosts that fail together do not retry together.
func TestBackOff_Repeated_IsJittered(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := newHost()
		h.broken["a"] = errors.New("no")
		var at []time.Time
		l := h.loop()
		apply := l.Apply
		l.Apply = func(ctx context.Context, s step) error { at = append(at, time.Now()); return apply(ctx, s) }
		running(t, l, "a")
		after(4 * time.Hour)
		gaps := map[time.Duration]bool{}
		for i := 8; i < len(at); i++ {
			gap := at[i].Sub(at[i-1])
			gaps[gap] = true
			if gap < 48*time.Second || gap > 72*time.Second {
				t.Fatalf("gap %s", gap)
			}
		}
		if len(gaps) < 100 {
			t.Fatalf("%d different gaps", len(gaps))
		}
	})
}

// The time of the next try carries a monotonic clock reading, so that a clock step neither hurries nor delays it.
func TestBackOff_NextTry_IsMonotonic(t *testing.T) {
	h := newHost()
	h.broken["a"] = errors.New("no")
	next := h.loop().Once(t.Context(), []string{"a"}).Outcomes["a"].NextTry
	if next.IsZero() || !strings.Contains(next.String(), " m=") {
		t.Errorf("next try at %s, which a clock that is set would move", next)
	}
}

// An agent that now works for another node must not remove the previous node's subjects.
func TestGuard_Suspect_HoldsAnyRemoval(t *testing.T) {
	for _, owned := range []string{"a", "a,b,c,d"} {
		h := newHost()
		for _, name := range strings.Split(owned, ",") {
			h.has[name] = true
		}
		agreed, settled := false, 0
		l := guarded(h, func(string) (bool, error) { return true, nil }, func([]string) (bool, error) { return agreed, nil })
		l.Guard.Suspect = func(_ []string, _ map[string]bool, vanished []string, all bool) string {
			if len(vanished) != 1 || all != (owned == "a") {
				t.Errorf("%s: %v vanished, all of it: %v", owned, vanished, all)
			}
			return "this was web1 until now"
		}
		l.Guard.Confirm = "platypus confirm web2"
		l.Guard.Settled = func([]string) { settled++ }
		wanted := slices.Collect(maps.Keys(h.has))
		slices.Sort(wanted)
		wanted = wanted[1:] // one of them is gone
		p := l.Once(t.Context(), wanted)
		const said = "at once, and this was web1 until now; if that is meant, run: platypus confirm web2"
		if p.Held == nil || !h.has["a"] || !strings.HasSuffix(p.Held.String(), said) || settled != 0 {
			t.Errorf("%s: pass %+v, host %v, settled %d times", owned, p, h.has, settled)
		}
		agreed = true
		if p = l.Once(t.Context(), wanted); p.Held != nil || h.has["a"] || settled == 0 {
			t.Errorf("%s: confirmed: pass %+v, host %v, settled %d times", owned, p, h.has, settled)
		}
	}
}

// portStep is one of two steps of a subject: the new port is opened, then the old one, which may be in use, is closed.
type portStep struct{ what string }

func (d portStep) Subject() string { return "door" }
func (d portStep) String() string  { return d.what }
func (d portStep) Destroys() bool  { return d.what == "close" }

// portLoop makes a loop over a host with the ports "new" and "old"; "old" may be closed once reread confirms it.
func portLoop(h *host, reread func() ([]string, error)) *converge.Loop[[]string, map[string]bool, portStep] {
	return &converge.Loop[[]string, map[string]bool, portStep]{
		Observe: h.observe, Resync: time.Second,
		Plan: func(want []string, have map[string]bool) (steps []portStep) {
			if !have["new"] {
				steps = append(steps, portStep{"open"})
			}
			if have["old"] && !slices.Contains(want, "old") {
				steps = append(steps, portStep{"close"})
			}
			return steps
		},
		Apply: func(_ context.Context, s portStep) error {
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

// While a removal cannot be confirmed for an hour, the step before it runs at once, and again when it is undone. The
// store is not read more often for that.
func TestUnconfirmedStep_EarlierSteps_StillRun(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := newHost()
		h.has["old"] = true
		reads, down := 0, true
		l := portLoop(h, func() ([]string, error) {
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
			after(2 * time.Second) // the pass after the next resync repairs it
			if !h.holds("new") {
				t.Fatal("opening waits for the unconfirmed closing")
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

// A step before the unconfirmed one that succeeds without an effect is not repeated without back-off.
func TestUnconfirmedStep_EarlierStepWithoutEffect_DoesNotSpin(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := newHost()
		h.has["old"], h.stuck["new"] = true, true
		desired := make(chan []string, 1)
		desired <- []string{"new"}
		ctx, cancel := context.WithCancel(t.Context())
		defer func() { cancel(); synctest.Wait() }()
		go portLoop(h, func() ([]string, error) { return nil, errors.New("no leader") }).Run(ctx, desired)
		after(time.Hour)
		if n := h.tried("open"); n > 10_000 {
			t.Errorf("%d tries in an hour", n)
		}
	})
}

// A dry run does not list a step that Apply would not run.
func TestDryRun_UnconfirmedStep_LeftOut(t *testing.T) {
	for _, confirmed := range []bool{false, true} {
		h := newHost()
		h.has["old"] = true
		steps, err := portLoop(h, func() ([]string, error) {
			if !confirmed {
				return []string{"new", "old"}, nil
			}
			return []string{"new"}, nil
		}).DryRun(t.Context(), []string{"new"})
		if want := []portStep{{"open"}, {"close"}}[:1+map[bool]int{true: 1}[confirmed]]; err != nil || !slices.Equal(steps, want) {
			t.Errorf("confirmed %t: %v, %v", confirmed, steps, err)
		}
	}
}

// A step that failed for hours and then succeeds does not count as unsettled.
func TestErrUnsettled_AfterLongOutage_NotReported(t *testing.T) {
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
