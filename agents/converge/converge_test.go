package converge_test

import (
	"context"
	"errors"
	"maps"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/platypus-platform/platypus/agents/converge"
)

type step struct{ name, what string }

func (s step) Subject() string { return s.name }
func (s step) String() string  { return s.what + " " + s.name }

// host is a set of names. The desired state is a list of names, or of "name:n" for a name that needs n steps.
type host struct {
	sync.Mutex
	has    map[string]bool
	broken map[string]error
	slow   map[string]time.Duration
	stuck  map[string]bool // its steps go well and change nothing
	tries  map[string]int
	looks  int
	blind  error // of Observe
	active map[string]bool
	most   int  // workers at once
	twice  bool // two workers on one subject at once
}

func newHost() *host {
	return &host{has: map[string]bool{}, broken: map[string]error{}, slow: map[string]time.Duration{},
		stuck: map[string]bool{}, tries: map[string]int{}, active: map[string]bool{}}
}

type loop = converge.Loop[[]string, map[string]bool, step]

func (h *host) loop() *loop {
	return &loop{Observe: h.observe, Plan: plan, Apply: h.apply, States: states}
}

func (h *host) observe(context.Context) (map[string]bool, error) {
	h.Lock()
	defer h.Unlock()
	if h.looks++; h.looks > 100_000 {
		panic("the loop spins")
	}
	return maps.Clone(h.has), h.blind
}

func plan(want []string, have map[string]bool) (steps []step) {
	for _, name := range want {
		if !have[name] {
			steps = append(steps, step{name, "add"})
		}
	}
	for _, name := range slices.Sorted(maps.Keys(have)) {
		if !slices.Contains(want, name) {
			steps = append(steps, step{name, "remove"})
		}
	}
	return steps
}

func (h *host) apply(_ context.Context, s step) error {
	h.Lock()
	delay, err, stuck := h.slow[s.name], h.broken[s.name], h.stuck[s.name]
	h.tries[s.name]++
	h.twice = h.twice || h.active[s.name]
	h.active[s.name] = true
	h.most = max(h.most, len(h.active))
	h.Unlock()
	time.Sleep(delay)
	h.Lock()
	defer h.Unlock()
	delete(h.active, s.name)
	switch {
	case err != nil || stuck:
	case s.what == "add":
		h.has[s.name] = true
	default:
		delete(h.has, s.name)
	}
	return err
}

func states(want []string, _ map[string]bool) map[string]converge.State {
	states := map[string]converge.State{}
	for _, name := range want {
		states[name] = converge.State{Want: "there", Phase: converge.Converged}
	}
	return states
}

// set changes the host under its lock.
func (h *host) set(change func()) { h.Lock(); defer h.Unlock(); change() }

func (h *host) tried(name string) int { h.Lock(); defer h.Unlock(); return h.tries[name] }

// running runs a loop in a synctest bubble until the test ends, and returns the channel for desired states.
func running(t *testing.T, l *loop, first ...string) chan<- []string {
	desired := make(chan []string, 1)
	if first != nil {
		desired <- first
	}
	ctx, cancel := context.WithCancel(t.Context())
	var ended sync.WaitGroup
	ended.Go(func() { l.Run(ctx, desired) })
	t.Cleanup(func() {
		cancel()
		ended.Wait()
		time.Sleep(2 * time.Hour) // late workers end, too, or the bubble reports a leak
	})
	return desired
}

// after lets time pass and waits until every goroutine is blocked.
func after(d time.Duration) {
	time.Sleep(d)
	synctest.Wait()
}

func (h *host) holds(name string) bool { h.Lock(); defer h.Unlock(); return h.has[name] }

func TestOnce_Converges(t *testing.T) {
	h := newHost()
	p := h.loop().Once(t.Context(), []string{"a", "b"})
	if !p.Converged() || !h.holds("a") || !h.holds("b") {
		t.Fatalf("pass %+v, host %v", p, h.has)
	}
}

func TestOnce_OneSubjectFails_OthersFinish(t *testing.T) {
	h := newHost()
	h.broken["a"] = errors.New("no")
	p := h.loop().Once(t.Context(), []string{"a", "b"})
	if p.Converged() || !p.Failed() || p.Outcomes["a"].Phase != converge.Failed || !h.holds("b") || h.tries["a"] != 1 {
		t.Fatalf("pass %+v, tries %v", p, h.tries)
	}
}

func TestRun_SlowSubject_DelaysNoOther(t *testing.T) {
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

func TestBackOff_NewIntent_ResetsIt(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := newHost()
		h.broken["a"] = errors.New("no")
		ctx, cancel := context.WithCancel(t.Context())
		desired := make(chan []string, 1)
		desired <- []string{"a"}
		var ended sync.WaitGroup
		ended.Go(func() { h.loop().Run(ctx, desired) })
		time.Sleep(20 * time.Second) // tries at 0, 1, 3, 7, 15, give or take a fifth
		synctest.Wait()
		if h.tries["a"] != 5 {
			t.Fatalf("%d tries in 20 s", h.tries["a"])
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

func TestLog_RepeatedFault_LoggedOnceAndCounted(t *testing.T) {
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
		want := []string{"INFO a: add a", "WARN a: no room", "WARN a: repeated 3 times: no room", "INFO a: went well: add a"}
		if warns != 1 || !slices.Equal(log.lines, want) {
			t.Fatalf("%d lines say it: %q", warns, log.lines)
		}
	})
}
