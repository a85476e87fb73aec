package converge

import (
	"context"
	"fmt"
	"slices"
	"sync/atomic"
	"time"
)

// Grace is how long [Loop.Run] waits for running steps once its context has ended: slightly longer than a step may
// shield itself from cancellation, and short enough for an agent to stop within 5 s.
const Grace = 4200 * time.Millisecond

// ErrUnsettled is the error of a subject whose plan is not empty after maxRounds rounds of steps without an error:
// Observe does not see what a step does, or something else undoes it.
var ErrUnsettled = fmt.Errorf("still not converged after %d rounds of steps", maxRounds)

// heldResync bounds the time between two passes while everything is held, and so how late a confirmation is noticed.
const heldResync = 10 * time.Second

// maxRounds bounds the rounds of steps of one subject that follow each other without back-off.
const maxRounds = 50

// Run converges on the newest value of desired until ctx ends. It returns once no step is running, or after [Grace].
// After desired is closed, the last received value stays in force; without one, Run does nothing.
func (l *Loop[D, A, S]) Run(ctx context.Context, desired <-chan D) {
	e := newEngine(l, desired)
	for ctx.Err() == nil && !e.receive(ctx) {
	}
	for ctx.Err() == nil {
		e.pass(ctx)
		e.wait(ctx)
	}
	e.drain()
}

// receive waits for the first desired state.
func (e *engine[D, A, S]) receive(ctx context.Context) (received bool) {
	select {
	case e.desired, received = <-e.newest:
		if !received {
			e.newest = nil
		}
	case <-ctx.Done():
	}
	return received
}

// Once makes passes over one desired state until neither a step nor waiting could change anything, and returns the last
// pass. A subject that fails is not retried.
func (l *Loop[D, A, S]) Once(ctx context.Context, desired D) Pass {
	e := newEngine(l, nil)
	e.once, e.desired = true, desired
	for {
		p := e.pass(ctx)
		if p.Err != nil || ctx.Err() != nil || e.finished(p) {
			e.drain()
			return p
		}
		e.wait(ctx)
	}
}

// DryRun returns the steps that Apply would run first, and changes nothing. It leaves out unconfirmed destructive steps
// and all later steps of their subjects. If everything is held, it logs that.
func (l *Loop[D, A, S]) DryRun(ctx context.Context, desired D) ([]S, error) {
	actual, err := l.Observe(ctx)
	if err != nil {
		return nil, err
	}
	desired, everything := l.Guard.check(ctx, desired, actual)
	if everything != nil && l.Log != nil {
		l.Log.Warn("", everything.String())
	}
	steps, confirm, held := l.Plan(desired, actual), l.newConfirm(actual), map[string]bool{}
	return slices.DeleteFunc(steps, func(s S) bool {
		held[s.Subject()] = held[s.Subject()] || confirm(ctx, s) != nil
		return held[s.Subject()]
	}), nil
}

// engine is the state of one run of a loop. Only its own goroutine uses it, except for generation; workers send their
// results to done.
type engine[D, A any, S Step] struct {
	*Loop[D, A, S]
	desired    D
	newest     <-chan D        // nil once it was closed
	wake       <-chan struct{} // nil once it was closed
	once       bool
	subjects   map[string]*subject
	faults     *faultLog
	done       chan result
	generation atomic.Uint64 // of desired; when it changes, workers stop after the current step

	observeFailures int  // in a row
	allHeld         bool // in the last pass
}

// result is the outcome of the steps of one subject.
type result struct {
	subject    string
	generation uint64 // of the intent that asked for it
	step       string // the last one that was started
	err        error
	stale      bool // newer intent arrived before it ended
	held       bool // only the steps before the unconfirmed one were to be done
}

func newEngine[D, A any, S Step](l *Loop[D, A, S], newest <-chan D) *engine[D, A, S] {
	return &engine[D, A, S]{Loop: l, newest: newest, wake: l.Wake, subjects: map[string]*subject{},
		faults: newFaultLog(l.Log), done: make(chan result)}
}

// pass observes, plans, starts workers for the steps, and reports.
func (e *engine[D, A, S]) pass(ctx context.Context) Pass {
	actual, err := e.Observe(ctx)
	if err != nil {
		if ctx.Err() != nil {
			return Pass{Err: err} // stopping: neither a fault nor something to report
		}
		e.observeFailures++
		e.faults.record("", err)
		return e.report(Pass{Err: err})
	}
	e.observeFailures = 0
	e.faults.record("", nil)
	desired, held := e.Guard.check(ctx, e.desired, actual)
	e.allHeld = held != nil
	steps := e.Plan(desired, actual)
	planned := e.dispatch(ctx, steps, e.newConfirm(actual))
	return e.report(e.outcome(steps, planned, e.States(desired, actual), held))
}

func (e *engine[D, A, S]) report(p Pass) Pass {
	if e.Report != nil {
		e.Report(p)
	}
	return p
}

// wait blocks until there is a reason for another pass.
func (e *engine[D, A, S]) wait(ctx context.Context) {
	timer := time.NewTimer(e.delay(time.Now()))
	defer timer.Stop()
	select {
	case d, ok := <-e.newest:
		e.setDesired(d, ok)
	case r := <-e.done:
		e.finish(r, ctx.Err() != nil)
	case _, ok := <-e.wake:
		if !ok {
			e.wake = nil
		}
	case <-timer.C:
	case <-ctx.Done():
	}
	// Drain what else is ready so that one pass covers all of it. The bound keeps a busy sender from delaying the pass
	// forever.
	for range 100 {
		select {
		case d, ok := <-e.newest:
			e.setDesired(d, ok)
		case r := <-e.done:
			e.finish(r, ctx.Err() != nil)
		case _, ok := <-e.wake:
			if !ok {
				e.wake = nil
			}
		default:
			return
		}
	}
}

// setDesired takes over new intent: workers stop after their current step, and back-offs are reset.
func (e *engine[D, A, S]) setDesired(d D, open bool) {
	if !open {
		e.newest = nil
		return
	}
	e.desired = d
	e.generation.Add(1)
	for _, s := range e.subjects {
		s.reset()
	}
}

// delay is the time until the next pass if nothing triggers one earlier.
func (e *engine[D, A, S]) delay(now time.Time) time.Duration {
	resync := e.Resync
	if resync <= 0 {
		resync = 30 * time.Second
	}
	delay := jittered(resync, 0.1)
	if e.allHeld { // a person may be waiting for a confirmation to take effect
		delay = min(delay, jittered(heldResync, 0.1))
	}
	if e.once {
		delay = min(delay, time.Second)
	}
	if e.observeFailures > 0 { // no subject can be tried before the host can be observed
		return min(delay, firstRetry<<min(e.observeFailures-1, 6))
	}
	for _, s := range e.subjects {
		if !s.running && !s.nextTry.IsZero() && !e.once {
			delay = min(delay, max(0, s.nextTry.Sub(now)))
		}
	}
	return delay
}

// finished reports whether another pass could not change anything.
func (e *engine[D, A, S]) finished(p Pass) bool {
	if e.running() > 0 {
		return false
	}
	for _, o := range p.Outcomes {
		if o.Moves && o.Err == nil {
			return false
		}
	}
	for _, s := range e.subjects {
		if s.err == nil {
			return false
		}
	}
	return true
}
