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

// Destroys makes removals those steps that need a second look.
func (s step) Destroys() bool { return s.what == "remove" }

// reread gives the host's loop a guard that reads intent anew before anything is destroyed.
func reread(h *host, read func() ([]string, error)) *loop {
	l := guarded(h, func(string) (bool, error) { return true, nil }, func([]string) (bool, error) { return true, nil })
	l.Guard.Reread = func(context.Context) ([]string, error) { return read() }
	return l
}

// TestWhatDestroysRestsOnAConsistentRead: a removal that a stale read asks for does not happen, while everything else
// does.
func TestWhatDestroysRestsOnAConsistentRead(t *testing.T) {
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

// TestManyRemovalsReadOnce: the load on the store does not grow with what is removed.
func TestManyRemovalsReadOnce(t *testing.T) {
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

// TestARemovalThatOutlivesTheStore waits, backs off, and happens once the store answers again.
func TestARemovalThatOutlivesTheStore(t *testing.T) {
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
			t.Fatal("it stays for ever")
		}
	})
}

// TestPartsAreToldAsOne: what is done about a/1 and a/2 side by side is the business of a.
func TestPartsAreToldAsOne(t *testing.T) {
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

// TestAPartWithoutAWhole is told by its own name rather than not at all.
func TestAPartWithoutAWhole(t *testing.T) {
	h := newHost()
	h.broken["a/1"] = errors.New("no room")
	l := h.loop()
	l.States = func([]string, map[string]bool) map[string]converge.State { return nil }
	if p := l.Once(t.Context(), []string{"a/1"}); p.Outcomes["a/1"].Attempts != 1 || !p.Failed() {
		t.Errorf("pass %+v", p)
	}
}

// TestRetriesAreJittered: hosts that fail together do not try together.
func TestRetriesAreJittered(t *testing.T) {
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

// TestBackOffIsMonotonic: the time of the next try carries the reading of the clock that nobody can set, so that a
// step of NTP, or of ten years, neither hurries nor delays it.
func TestBackOffIsMonotonic(t *testing.T) {
	h := newHost()
	h.broken["a"] = errors.New("no")
	next := h.loop().Once(t.Context(), []string{"a"}).Outcomes["a"].NextTry
	if next.IsZero() || !strings.Contains(next.String(), " m=") {
		t.Errorf("next try at %s, which a clock that is set would move", next)
	}
}

// TestSuspicionHoldsAnyRemoval: an agent that now works for another node must not clear what the former one had.
func TestSuspicionHoldsAnyRemoval(t *testing.T) {
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
