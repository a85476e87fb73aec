package converge_test

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/platypus-platform/platypus/agents/converge"
)

type step struct{ name, what string }

func (s step) Subject() string { return s.name }
func (s step) String() string  { return s.what + " " + s.name }

// host is a set of names; the loop is to make it equal to what is desired.
type host struct {
	sync.Mutex
	has    map[string]bool
	broken map[string]error
	slow   map[string]time.Duration
	tries  map[string]int
}

func newHost() *host {
	return &host{has: map[string]bool{}, broken: map[string]error{}, slow: map[string]time.Duration{}, tries: map[string]int{}}
}

func (h *host) loop() *converge.Loop[[]string, map[string]bool, step] {
	return &converge.Loop[[]string, map[string]bool, step]{
		Observe: func(context.Context) (map[string]bool, error) {
			h.Lock()
			defer h.Unlock()
			seen := map[string]bool{}
			for name := range h.has {
				seen[name] = true
			}
			return seen, nil
		},
		Plan: func(want []string, have map[string]bool) (steps []step) {
			for _, name := range want {
				if !have[name] {
					steps = append(steps, step{name, "add"})
				}
			}
			return steps
		},
		Apply: func(ctx context.Context, s step) error {
			h.Lock()
			delay, err := h.slow[s.name], h.broken[s.name]
			h.tries[s.name]++
			h.Unlock()
			time.Sleep(delay)
			h.Lock()
			defer h.Unlock()
			if err == nil {
				h.has[s.name] = true
			}
			return err
		},
		States: func(want []string, have map[string]bool) map[string]converge.State {
			states := map[string]converge.State{}
			for _, name := range want {
				states[name] = converge.State{Want: "there", Phase: converge.Converged}
			}
			return states
		},
	}
}

func (h *host) holds(name string) bool { h.Lock(); defer h.Unlock(); return h.has[name] }

func TestOnceConverges(t *testing.T) {
	h := newHost()
	p := h.loop().Once(t.Context(), []string{"a", "b"})
	if !p.Converged() || !h.holds("a") || !h.holds("b") {
		t.Fatalf("pass %+v, host %v", p, h.has)
	}
}

func TestOnceReportsFailureAndFinishesTheOthers(t *testing.T) {
	h := newHost()
	h.broken["a"] = errors.New("no")
	p := h.loop().Once(t.Context(), []string{"a", "b"})
	if p.Converged() || !p.Failed() || p.Outcomes["a"].Phase != converge.Failed || !h.holds("b") || h.tries["a"] != 1 {
		t.Fatalf("pass %+v, tries %v", p, h.tries)
	}
}

func TestSlowSubjectDelaysNoOther(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := newHost()
		h.slow["slow"] = time.Hour
		ctx, cancel := context.WithCancel(t.Context())
		desired := make(chan []string, 1)
		desired <- []string{"slow"}
		var ended sync.WaitGroup
		ended.Go(func() { h.loop().Run(ctx, desired) })
		time.Sleep(time.Second)
		desired <- []string{"slow", "quick"}
		time.Sleep(time.Millisecond)
		synctest.Wait()
		if !h.holds("quick") || h.holds("slow") {
			t.Fatalf("host %v", h.has)
		}
		time.Sleep(time.Hour)
		synctest.Wait()
		if !h.holds("slow") || h.tries["slow"] != 1 {
			t.Fatalf("host %v, tries %v", h.has, h.tries)
		}
		cancel()
		ended.Wait()
	})
}

func TestBackOffDoublesAndNewIntentResetsIt(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := newHost()
		h.broken["a"] = errors.New("no")
		ctx, cancel := context.WithCancel(t.Context())
		desired := make(chan []string, 1)
		desired <- []string{"a"}
		var ended sync.WaitGroup
		ended.Go(func() { h.loop().Run(ctx, desired) })
		time.Sleep(16 * time.Second) // tries at 0, 1, 3, 7, 15
		synctest.Wait()
		if h.tries["a"] != 5 {
			t.Fatalf("%d tries in 16 s", h.tries["a"])
		}
		desired <- []string{"a"}
		time.Sleep(500 * time.Millisecond)
		synctest.Wait()
		if h.tries["a"] != 6 {
			t.Fatalf("%d tries after new intent", h.tries["a"])
		}
		cancel()
		ended.Wait()
	})
}

type logged struct {
	sync.Mutex
	lines []string
}

func (l *logged) Info(subject, text string) { l.add("INFO " + subject + ": " + text) }
func (l *logged) Warn(subject, text string) { l.add("WARN " + subject + ": " + text) }
func (l *logged) add(line string)           { l.Lock(); l.lines = append(l.lines, line); l.Unlock() }

func TestSteadyStateIsSilentAndFaultsAreCounted(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h, log := newHost(), &logged{}
		h.broken["a"] = errors.New("no room")
		l := h.loop()
		l.Log = log
		ctx, cancel := context.WithCancel(t.Context())
		desired := make(chan []string, 1)
		desired <- []string{"a"}
		var ended sync.WaitGroup
		ended.Go(func() { l.Run(ctx, desired) })
		time.Sleep(10 * time.Second)
		h.Lock()
		h.broken["a"] = nil
		h.Unlock()
		time.Sleep(time.Hour)
		cancel()
		ended.Wait()
		warns := 0
		for _, line := range log.lines {
			if line == "WARN a: no room" {
				warns++
			}
		}
		last := log.lines[len(log.lines)-1]
		if warns != 1 || last != "WARN a: repeated 3 times: no room" {
			t.Fatalf("%d lines say it, the last is %q of %q", warns, last, log.lines)
		}
	})
}

func TestGuardHoldsMassRemoval(t *testing.T) {
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
