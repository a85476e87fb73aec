package converge

import (
	"context"
	"fmt"
	"slices"
	"sync/atomic"
	"time"
)

// Grace is how long [Loop.Run] waits for steps under way once its context has ended: a little longer than a step may
// shield itself, and short enough for an agent to stop within 5 s.
const Grace = 4200 * time.Millisecond

// ErrUnsettled is the fault of a subject that went through maxRounds rounds of steps, all of them without an error,
// and whose plan is still not empty: what a step does, Observe does not see, or somebody else undoes it.
var ErrUnsettled = fmt.Errorf("still not converged after %d rounds of steps", maxRounds)

// heldResync is the longest time between two passes while everything is held: how late a confirmation is noticed.
const heldResync = 10 * time.Second

// maxRounds bounds the rounds of steps of one subject that follow each other at once.
const maxRounds = 50

// Run converges for ever on the newest value of desired, until ctx ends. It returns once no step is under way, or
// after [Grace]. A closed desired means that the value received last stays; closed before the first, nothing is done.
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

// Once makes passes over one desired state until nothing is left that a step or a little patience could change, and
// returns the last of them. A subject that fails is not tried again.
func (l *Loop[D, A, S]) Once(ctx context.Context, desired D) Pass {
	e := newEngine(l, nil)
	e.once, e.desired = true, desired
	for {
		p := e.pass(ctx)
		if p.Err != nil || ctx.Err() != nil || e.settled(p) {
			e.drain()
			return p
		}
		e.wait(ctx)
	}
}

// DryRun returns the very steps that Apply would run first, and changes nothing. Those that destroy something and are not
// confirmed are left out, with all that comes after them for their subject. That everything is held is logged.
func (l *Loop[D, A, S]) DryRun(ctx context.Context, desired D) ([]S, error) {
	actual, err := l.Observe(ctx)
	if err != nil {
		return nil, err
	}
	desired, everything := l.Guard.check(ctx, desired, actual)
	if everything != nil && l.Log != nil {
		l.Log.Warn("", everything.String())
	}
	steps, certain, held := l.Plan(desired, actual), l.certainty(actual), map[string]bool{}
	return slices.DeleteFunc(steps, func(s S) bool {
		held[s.Subject()] = held[s.Subject()] || certain(ctx, s) != nil
		return held[s.Subject()]
	}), nil
}

// engine is the state of one run of a loop. Only its own goroutine touches it, generation aside; workers send what
// they did.
type engine[D, A any, S Step] struct {
	*Loop[D, A, S]
	desired    D
	newest     <-chan D        // nil once it was closed
	wake       <-chan struct{} // nil once it was closed
	once       bool
	subjects   map[string]*subject
	faults     *faults
	done       chan result
	generation atomic.Uint64 // of desired; workers stop after the step under way when it moves
	last       passed
}

// passed is what the last pass came to, as far as the time of the next one depends on it.
type passed struct {
	failures int  // of Observe, in a row
	held     bool // everything was held
}

// result is what became of the steps of one subject.
type result struct {
	subject    string
	generation uint64 // of the intent that asked for it
	step       string // the last one that was begun
	err        error
	stale      bool // there was newer intent before it ended
	held       bool // only what comes before a step in doubt was to be done
}

func newEngine[D, A any, S Step](l *Loop[D, A, S], newest <-chan D) *engine[D, A, S] {
	return &engine[D, A, S]{Loop: l, newest: newest, wake: l.Wake, subjects: map[string]*subject{},
		faults: newFaults(l.Log), done: make(chan result)}
}

// pass looks at the world once and sets workers to what is to be done.
func (e *engine[D, A, S]) pass(ctx context.Context) Pass {
	actual, err := e.Observe(ctx)
	if err != nil {
		if ctx.Err() != nil {
			return Pass{Err: err} // it was told to stop: no fault, and nothing to report
		}
		e.last.failures++
		e.faults.heard("", err)
		return e.tell(Pass{Err: err})
	}
	e.last.failures = 0
	e.faults.heard("", nil)
	desired, held := e.Guard.check(ctx, e.desired, actual)
	e.last.held = held != nil
	steps := e.Plan(desired, actual)
	planned := e.dispatch(ctx, steps, e.certainty(actual))
	return e.tell(e.outcome(steps, planned, e.States(desired, actual), held))
}

func (e *engine[D, A, S]) tell(p Pass) Pass {
	if e.Report != nil {
		e.Report(p)
	}
	return p
}

// wait returns when there is a reason for another pass.
func (e *engine[D, A, S]) wait(ctx context.Context) {
	timer := time.NewTimer(e.delay(time.Now()))
	defer timer.Stop()
	select {
	case d, ok := <-e.newest:
		e.renew(d, ok)
	case r := <-e.done:
		e.finish(r, ctx.Err() != nil)
	case _, ok := <-e.wake:
		e.woken(ok)
	case <-timer.C:
	case <-ctx.Done():
	}
	// Take what else is ready, so that one pass answers all of it; bounded, so that who never stops asking for a pass
	// does not keep it from happening.
	for range 100 {
		select {
		case d, ok := <-e.newest:
			e.renew(d, ok)
		case r := <-e.done:
			e.finish(r, ctx.Err() != nil)
		case _, ok := <-e.wake:
			e.woken(ok)
		default:
			return
		}
	}
}

func (e *engine[D, A, S]) woken(open bool) {
	if !open {
		e.wake = nil
	}
}

// renew takes over new intent: steps under way are the last of their plan, and nobody waits for a next try.
func (e *engine[D, A, S]) renew(d D, open bool) {
	if !open {
		e.newest = nil
		return
	}
	e.desired = d
	e.generation.Add(1)
	for _, s := range e.subjects {
		s.renewed()
	}
}

// delay is the time until the next pass when nothing happens before.
func (e *engine[D, A, S]) delay(now time.Time) time.Duration {
	resync := e.Resync
	if resync <= 0 {
		resync = 30 * time.Second
	}
	delay := jittered(resync, 0.1)
	if e.last.held { // a person is at work, and waits for what the confirmation brings
		delay = min(delay, jittered(heldResync, 0.1))
	}
	if e.once {
		delay = min(delay, time.Second)
	}
	if e.last.failures > 0 { // no subject can be tried, due or not, before the host can be seen
		return min(delay, firstRetry<<min(e.last.failures-1, 6))
	}
	for _, s := range e.subjects {
		if !s.running && !s.nextTry.IsZero() && !e.once {
			delay = min(delay, max(0, s.nextTry.Sub(now)))
		}
	}
	return delay
}

// settled reports whether another pass could not change anything.
func (e *engine[D, A, S]) settled(p Pass) bool {
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
