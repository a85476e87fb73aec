package converge_test

import (
	"context"
	"errors"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/platypus-platform/platypus/agents/converge"
)

func TestRun_NoIntentYet_DoesNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := newHost()
		h.has["a"] = true
		desired := running(t, h.loop())
		after(24 * time.Hour)
		if h.looks != 0 {
			t.Fatalf("%d observations", h.looks)
		}
		close(desired)
		after(time.Hour)
		if h.looks != 0 || !h.holds("a") {
			t.Fatalf("%d observations after it was closed", h.looks)
		}
	})
}

func TestRun_ChannelsClosed_KeepsLastIntent(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h, wake := newHost(), make(chan struct{})
		l := h.loop()
		l.Wake = wake
		desired := running(t, l, "a")
		after(time.Second)
		close(desired)
		close(wake)
		h.set(func() { delete(h.has, "a") })
		after(time.Hour)
		if !h.holds("a") || h.looks > 150 {
			t.Fatalf("host %v after %d looks", h.has, h.looks)
		}
	})
}

// The step under way is finished, the rest of its plan is not done, and what is newer is.
func TestRun_NewIntentDuringStep_ReplansAfterIt(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var lock sync.Mutex
		var did []string
		l := &converge.Loop[string, map[string]bool, step]{
			Observe: func(context.Context) (map[string]bool, error) {
				lock.Lock()
				defer lock.Unlock()
				return map[string]bool{"done": slices.Contains(did, "new 3")}, nil
			},
			Plan: func(want string, have map[string]bool) []step {
				if have["done"] {
					return nil
				}
				return []step{{"x", want + " 1"}, {"x", want + " 2"}, {"x", want + " 3"}}
			},
			Apply: func(ctx context.Context, s step) error {
				time.Sleep(10 * time.Second)
				lock.Lock()
				defer lock.Unlock()
				did = append(did, s.what)
				return ctx.Err()
			},
			States: func(string, map[string]bool) map[string]converge.State { return nil },
		}
		ctx, cancel := context.WithCancel(t.Context())
		desired := make(chan string, 1)
		var ended sync.WaitGroup
		ended.Go(func() { l.Run(ctx, desired) })
		desired <- "old"
		after(15 * time.Second) // amid old 2
		desired <- "middle"
		after(time.Second)
		desired <- "new"
		after(time.Minute)
		cancel()
		ended.Wait()
		if want := []string{"old 1", "old 2", "new 1", "new 2", "new 3"}; !slices.Equal(did, want) {
			t.Fatalf("did %q, want %q", did, want)
		}
	})
}

func TestBackOff_Repeated_CapsAtOneMinute(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := newHost()
		h.broken["a"] = errors.New("no")
		running(t, h.loop(), "a", "b")
		after(80 * time.Second) // 0 1 3 7 15 31 63, give or take a fifth
		if n := h.tried("a"); n != 7 {
			t.Fatalf("%d tries in 80 s", n)
		}
		after(10 * time.Minute)
		if n := h.tried("a"); n < 15 || n > 20 {
			t.Fatalf("%d tries, want one a minute after the seventh", n)
		}
		if n := h.tried("b"); n != 1 {
			t.Fatalf("the sibling was applied %d times", n)
		}
	})
}

// What failed was a step of a plan that is no longer the one.
func TestRun_OutdatedStepFails_NewIntentIsNotDelayed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := newHost()
		h.broken["a"], h.slow["a"] = errors.New("no"), 10*time.Second
		desired := running(t, h.loop(), "a")
		after(5 * time.Second)
		desired <- []string{"a"}
		h.set(func() { delete(h.broken, "a") })
		after(5*time.Second + time.Millisecond) // the old step failed just now
		if n := h.tried("a"); n != 2 {
			t.Fatalf("%d tries: the new intent waits for a back-off that is not its own", n)
		}
	})
}

// Without it, a step that changes nothing would be done thousands of times a second.
func TestRun_PlanNeverEmpty_BacksOff(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := newHost()
		h.stuck["a"] = true
		l := h.loop()
		var last converge.Pass
		l.Report = func(p converge.Pass) { last = p }
		running(t, l, "a", "b")
		after(10 * time.Minute)
		if n := h.tried("a"); n > 80 {
			t.Fatalf("%d rounds in ten minutes", n)
		}
		if o := last.Outcomes["a"]; !errors.Is(o.Err, converge.ErrUnsettled) || o.Phase != converge.Failed || !h.holds("b") {
			t.Fatalf("outcome %+v", o)
		}
		h.set(func() { delete(h.stuck, "a") })
		after(2 * time.Minute)
		if !h.holds("a") || !last.Converged() {
			t.Fatalf("host %v, pass %+v", h.has, last)
		}
	})
}

func TestOnce_PlanNeverEmpty_GivesUp(t *testing.T) {
	h := newHost()
	h.stuck["a"] = true
	p := h.loop().Once(t.Context(), []string{"a", "b"})
	if !p.Failed() || !errors.Is(p.Outcomes["a"].Err, converge.ErrUnsettled) || h.tries["a"] != 50 || !h.holds("b") {
		t.Fatalf("pass %+v after %d rounds", p, h.tries["a"])
	}
}

func TestOnce_SubjectMoves_Waits(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		begin := time.Now()
		l := newHost().loop()
		l.States = func([]string, map[string]bool) map[string]converge.State {
			if time.Since(begin) < 10*time.Second {
				return map[string]converge.State{"a": {Phase: "starting", Moves: true}}
			}
			return map[string]converge.State{"a": {Phase: converge.Converged}}
		}
		if p := l.Once(t.Context(), nil); !p.Converged() || time.Since(begin) < 10*time.Second {
			t.Fatalf("pass %+v after %s", p, time.Since(begin))
		}
	})
}

func TestRun_FewWorkers_NoSubjectStarves(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := newHost()
		names := []string{"a", "b", "c", "d", "e"}
		for _, name := range names {
			h.slow[name] = time.Second
		}
		h.stuck["a"] = true // always has steps
		l := h.loop()
		l.Parallel = 1
		running(t, l, names...)
		after(12 * time.Second)
		for _, name := range names[1:] {
			if !h.holds(name) {
				t.Errorf("%s starves: tries %v", name, h.tries)
			}
		}
		if h.most != 1 {
			t.Errorf("%d workers at once", h.most)
		}
	})
}

func TestRun_ObserveFails_BacksOffWithoutPlanning(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h, log := newHost(), &logged{}
		h.blind = errors.New("iptables-save: not found")
		l := h.loop()
		l.Log = log
		var last converge.Pass
		l.Report = func(p converge.Pass) { last = p }
		l.Plan = func([]string, map[string]bool) []step { t.Error("planned blindly"); return nil }
		running(t, l, "a")
		after(10 * time.Minute)
		if last.Err == nil || !last.Failed() || last.Converged() || h.looks < 15 || h.looks > 40 {
			t.Fatalf("pass %+v after %d looks", last, h.looks)
		}
		if want := []string{"WARN : iptables-save: not found"}; !slices.Equal(log.lines, want) {
			t.Fatalf("log %q", log.lines)
		}
	})
}

func TestRun_SteadyState_ResyncIsJitteredAndSilent(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h, log := newHost(), &logged{}
		h.has["a"] = true
		l := h.loop()
		l.Log, l.Resync = log, 10*time.Second
		var at []time.Time
		l.Report = func(converge.Pass) { at = append(at, time.Now()) }
		running(t, l, "a")
		after(time.Hour)
		gaps := map[time.Duration]bool{}
		for i := 1; i < len(at); i++ {
			gap := at[i].Sub(at[i-1])
			gaps[gap] = true
			if gap < 9*time.Second || gap > 11*time.Second {
				t.Fatalf("gap %s", gap)
			}
		}
		if len(gaps) < 100 || len(log.lines) != 0 {
			t.Fatalf("%d different gaps, log %q", len(gaps), log.lines)
		}
		h.set(func() { delete(h.has, "a") }) // vandalism is repaired at the next look
		after(11 * time.Second)
		if !h.holds("a") {
			t.Fatal("drift stays")
		}
	})
}

func TestRun_Wake_MakesAPass(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h, wake := newHost(), make(chan struct{}, 1)
		l := h.loop()
		l.Wake = wake
		running(t, l, "a")
		after(time.Second)
		h.set(func() { delete(h.has, "a") })
		wake <- struct{}{}
		after(time.Millisecond)
		if !h.holds("a") {
			t.Fatal("woken and nothing done")
		}
	})
}

// Passes come while wake-ups are still waiting, not after the last one.
func TestRun_ConstantWake_StillMakesPasses(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		wake := make(chan struct{}, 10_000)
		for range cap(wake) {
			wake <- struct{}{}
		}
		h := newHost()
		l := h.loop()
		l.Wake = wake
		running(t, l, "a")
		after(time.Second)
		if h.looks < 50 {
			t.Fatalf("%d passes over %d wake-ups", h.looks, cap(wake))
		}
	})
}

func TestRun_Stop_WaitsForRunningStepAtMostGrace(t *testing.T) {
	for _, test := range []struct {
		step, within time.Duration
		finished     bool
	}{{2 * time.Second, 2 * time.Second, true}, {time.Hour, converge.Grace, false}} {
		synctest.Test(t, func(t *testing.T) {
			h := newHost()
			h.slow["a"] = test.step
			ctx, cancel := context.WithCancel(t.Context())
			desired := make(chan []string, 1)
			desired <- []string{"a", "b"}
			var ended sync.WaitGroup
			ended.Go(func() { h.loop().Run(ctx, desired) })
			after(time.Millisecond)
			begin := time.Now()
			cancel()
			ended.Wait()
			if took := time.Since(begin); took > test.within || h.holds("a") != test.finished {
				t.Errorf("stopped after %s, step finished %v", took, h.holds("a"))
			}
			time.Sleep(2 * time.Hour) // the late worker ends, too, or the bubble reports a leak
		})
	}
	if converge.Grace >= 5*time.Second {
		t.Error("an agent must stop within 5 s")
	}
}

func TestRun_StepFailsWhileStopping_NoFault(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		log := &logged{}
		l := newHost().loop()
		l.Log = log
		l.Apply = func(ctx context.Context, _ step) error { <-ctx.Done(); return ctx.Err() }
		ctx, cancel := context.WithCancel(t.Context())
		desired := make(chan []string, 1)
		desired <- []string{"a"}
		var ended sync.WaitGroup
		ended.Go(func() { l.Run(ctx, desired) })
		after(time.Second)
		cancel()
		ended.Wait()
		if strings.Contains(strings.Join(log.lines, "\n"), "WARN") {
			t.Fatalf("log %q", log.lines)
		}
	})
}

func TestDryRun_WithSteps_ChangesNothing(t *testing.T) {
	h := newHost()
	h.has["z"] = true
	l := h.loop()
	l.Apply = func(context.Context, step) error { t.Error("applied"); return nil }
	l.Report = func(converge.Pass) { t.Error("reported") }
	steps, err := l.DryRun(t.Context(), []string{"b", "a"})
	if want := []step{{"b", "add"}, {"a", "add"}, {"z", "remove"}}; err != nil || !slices.Equal(steps, want) {
		t.Fatalf("steps %v, %v", steps, err)
	}
	h.blind = errors.New("no")
	if _, err := l.DryRun(t.Context(), nil); err == nil {
		t.Fatal("no error of Observe")
	}
}

func TestReport_SubjectFails_StaysFailedDuringRetries(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := newHost()
		h.broken["a"], h.slow["a"] = errors.New("no"), time.Second
		l := h.loop()
		var phases []string
		l.Report = func(p converge.Pass) {
			if o := p.Outcomes["a"]; len(phases) == 0 || phases[len(phases)-1] != o.Phase {
				phases = append(phases, o.Phase)
			}
		}
		desired := running(t, l, "a")
		after(time.Minute)
		if want := []string{converge.Working, converge.Failed}; !slices.Equal(phases, want) {
			t.Fatalf("phases %q", phases)
		}
		h.set(func() { delete(h.broken, "a") })
		desired <- []string{"a"}
		after(time.Minute)
		if last := phases[len(phases)-1]; last != converge.Converged {
			t.Fatalf("phases %q", phases)
		}
	})
}

// A try that is due cannot be made while Observe fails.
func TestRun_DueSubjectWhileObserveFails_DoesNotSpin(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := newHost()
		h.broken["a"] = errors.New("no")
		running(t, h.loop(), "a")
		after(500 * time.Millisecond)
		h.set(func() { h.blind = errors.New("blind") })
		after(time.Minute)
		h.Lock()
		defer h.Unlock()
		if h.looks > 20 {
			t.Fatalf("%d looks in a minute", h.looks)
		}
	})
}

func TestRun_StepFails_SkipsRestOfSubject(t *testing.T) {
	l := newHost().loop()
	l.Plan = func([]string, map[string]bool) []step {
		return []step{{"a", "stop"}, {"b", "stop"}, {"a", "flip"}, {"b", "flip"}}
	}
	var lock sync.Mutex
	did := map[step]bool{}
	l.Apply = func(_ context.Context, s step) error {
		lock.Lock()
		defer lock.Unlock()
		did[s] = true
		if s == (step{"a", "stop"}) {
			return errors.New("it would not stop")
		}
		return nil
	}
	l.Once(t.Context(), nil)
	if did[step{"a", "flip"}] || !did[step{"b", "flip"}] {
		t.Fatalf("did %v", did)
	}
}
