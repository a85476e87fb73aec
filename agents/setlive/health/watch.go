// Package health finds out whether processes of apps are healthy: by http, tcp, a command of the app, or by their
// staying up. It asks in the background; what it found is an observation like any other, so that a plan needs neither
// a clock nor patience.
//
// A process is healthy only after it passed several times in a row over some time, and only that very process: one
// that was restarted begins anew, and not to know is not to be healthy.
package health

import (
	"context"
	"errors"
	"reflect"
	"sync"
	"time"

	"github.com/platypus-platform/platypus/agents/setlive/service"
	"github.com/platypus-platform/platypus/intent"
)

// Target is a process to ask after, and how.
type Target struct {
	App     string
	Install string // directory of what it runs; commands are relative to it
	RunAs   string // user of commands; "" for our own
	Check   intent.Health
	Process service.Process // zero while none runs
}

// Verdict is what is known of a process.
type Verdict struct {
	Install string          // of the target
	Process service.Process // that it is about
	Healthy bool            // it passed often and long enough, and has not failed since
	Passing bool            // it passed the last time
	Expired bool            // the deadline went by before it was healthy for the first time
	Passes  int             // in a row
	Reason  string          // why it is not passing; "" before the first answer
	Unseen  string          // why it could not be asked the last time; the rest is what was known before
}

// Watch asks after processes until it is closed.
type Watch struct {
	mu   sync.Mutex
	apps map[string]*follower
	wake chan struct{}
}

// NewWatch returns a watch of nothing.
func NewWatch() *Watch {
	return &Watch{apps: map[string]*follower{}, wake: make(chan struct{}, 1)}
}

// Wake carries a value when a verdict changed in a way that matters, or a process ended.
func (w *Watch) Wake() <-chan struct{} { return w.wake }

// Follow makes the watch ask after exactly these targets. A target that only got another process keeps its deadline,
// which counts from when a process of this version with these settings was first seen.
func (w *Watch) Follow(targets map[string]Target) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for app, f := range w.apps {
		if _, wanted := targets[app]; !wanted {
			f.stop()
			delete(w.apps, app)
		}
	}
	for app, t := range targets {
		f := w.apps[app]
		if f != nil && reflect.DeepEqual(f.target, t) {
			continue
		}
		since, old := time.Time{}, Verdict{}
		if f != nil {
			f.stop()
			if f.target.sameGoal(t) {
				since, old = f.since, f.verdict
			}
		}
		if since.IsZero() && t.Process.Running() {
			since = time.Now()
		}
		w.apps[app] = w.follow(t, since, old)
	}
}

// sameGoal reports whether both are after the same version with the same settings, whichever its process.
func (t Target) sameGoal(u Target) bool {
	same := func(p, q service.Process) bool {
		return p.Version == q.Version && p.Settings == q.Settings || !p.Running() || !q.Running()
	}
	return same(t.Process, u.Process) && t.Install == u.Install && reflect.DeepEqual(t.Check, u.Check)
}

// Verdicts returns what is known, by app.
func (w *Watch) Verdicts() map[string]Verdict {
	w.mu.Lock()
	defer w.mu.Unlock()
	verdicts := make(map[string]Verdict, len(w.apps))
	for app, f := range w.apps {
		verdicts[app] = f.verdict
	}
	return verdicts
}

// Close ends all asking.
func (w *Watch) Close() { w.Follow(nil) }

// follower asks after one target. Its verdict is guarded by the watch's lock.
type follower struct {
	target  Target
	since   time.Time // of its first process, zero before there is one
	first   time.Time // of the passes in a row
	verdict Verdict
	stop    context.CancelFunc
}

// follow starts to ask. The watch's lock is held.
func (w *Watch) follow(t Target, since time.Time, old Verdict) *follower {
	ctx, stop := context.WithCancel(context.Background())
	f := &follower{target: t, since: since, stop: stop}
	f.verdict = Verdict{Install: t.Install, Process: t.Process, Expired: old.Expired}
	if old.Process.Is(t.Process) {
		f.verdict = old
		f.verdict.Process = t.Process
	}
	go w.ask(ctx, f)
	return f
}

const (
	pauseWhenGone = 250 * time.Millisecond // between two calls for another look while no process runs
	pauseWhenUp   = 10 * time.Second       // between two looks at a process that has only to stay up, once it has
)

func (w *Watch) ask(ctx context.Context, f *follower) {
	interval := max(f.target.Check.Interval.Or(intent.DefaultInterval), 10*time.Millisecond)
	for {
		err := Probe(ctx, f.target)
		if ctx.Err() != nil {
			return
		}
		pause := interval
		switch healthy := w.heard(f, err, time.Now()); {
		case errors.Is(err, service.ErrUnseen): // it is asked again soon
		case err == errGone:
			pause = pauseWhenGone
			w.call() // the supervisor may have started another one
		case healthy && f.target.Check.Type == intent.HealthUp:
			pause = max(pause, pauseWhenUp)
		}
		select {
		case <-time.After(pause):
		case <-ctx.Done():
			return
		}
	}
}

// heard takes in one answer and returns whether the process is healthy.
func (w *Watch) heard(f *follower, err error, now time.Time) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	was, v := f.verdict, &f.verdict
	if v.Unseen = ""; errors.Is(err, service.ErrUnseen) {
		v.Unseen = err.Error()
	}
	if was.Unseen != v.Unseen {
		w.call()
	}
	if v.Unseen != "" {
		return v.Healthy
	}
	v.Passing, v.Reason = err == nil, ""
	if err != nil {
		v.Passes, v.Healthy, v.Reason = 0, false, Short(err.Error())
	} else {
		if v.Passes++; v.Passes == 1 || f.first.IsZero() {
			f.first = now
		}
		check := f.target.Check
		enough := check.Successes
		if enough == 0 {
			enough = intent.DefaultSuccesses
		}
		if v.Passes >= enough && now.Sub(f.first) >= check.MinHealthy.Or(intent.DefaultMinHealthy) {
			v.Healthy = true
		}
	}
	late := !f.since.IsZero() && now.Sub(f.since) >= f.target.Check.Deadline.Or(intent.DefaultDeadline)
	v.Expired = v.Expired || !v.Healthy && late
	if v.Healthy {
		f.since, v.Expired = now, false
	}
	if was.Healthy != v.Healthy || was.Expired != v.Expired || was.Passing != v.Passing {
		w.call()
	}
	return v.Healthy
}

func (w *Watch) call() {
	select {
	case w.wake <- struct{}{}:
	default:
	}
}
