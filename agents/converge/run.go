package converge

import (
	"context"
	"errors"
	"maps"
	"math/rand/v2"
	"slices"
	"time"
)

// Grace is how long [Loop.Run] waits for steps under way once its context has ended.
const Grace = 5 * time.Second

// ErrUnsettled is returned by [Loop.Once] for a subject whose plan never gets empty.
var ErrUnsettled = errors.New("still not converged after 50 rounds of steps")

// Run converges for ever on the newest value of desired, until ctx ends. It returns once no step is under way, or
// after [Grace].
func (l *Loop[D, A, S]) Run(ctx context.Context, desired <-chan D) {
	e := newEngine(l)
	select {
	case e.desired = <-desired:
	case <-ctx.Done():
		return
	}
	for ctx.Err() == nil {
		e.pass(ctx)
		e.wait(ctx, desired)
	}
	e.drain()
}

// Once makes passes over one desired state until nothing is left that a step or a little patience could change, and
// returns the last of them. A subject that fails is not tried again.
func (l *Loop[D, A, S]) Once(ctx context.Context, desired D) Pass {
	e := newEngine(l)
	e.once, e.desired = true, desired
	for {
		p := e.pass(ctx)
		if p.Err != nil || ctx.Err() != nil || e.settled(p) {
			e.drain()
			return p
		}
		e.wait(ctx, nil)
	}
}

// DryRun returns the very steps that Apply would run first, and changes nothing.
func (l *Loop[D, A, S]) DryRun(ctx context.Context, desired D) ([]S, error) {
	actual, err := l.Observe(ctx)
	if err != nil {
		return nil, err
	}
	desired, _, err = l.Guard.check(ctx, desired, actual)
	if err != nil {
		return nil, err
	}
	return l.Plan(desired, actual), nil
}

// engine is the state of one run of a loop. Only its own goroutine touches it; workers send what they did.
type engine[D, A any, S Step] struct {
	*Loop[D, A, S]
	desired  D
	once     bool
	rounds   map[string]int
	subjects map[string]*subject
	faults   *faults
	done     chan result
	newer    context.CancelFunc // tells workers that there is newer intent
	current  context.Context    // ended once there is newer intent
	failures int                // of Observe, in a row
}

type result struct {
	subject string
	err     error
}

func newEngine[D, A any, S Step](l *Loop[D, A, S]) *engine[D, A, S] {
	e := &engine[D, A, S]{Loop: l, subjects: map[string]*subject{}, rounds: map[string]int{}, faults: newFaults(l.Log), done: make(chan result)}
	e.current, e.newer = context.WithCancel(context.Background())
	return e
}

// pass looks at the world once and sets workers to what is to be done.
func (e *engine[D, A, S]) pass(ctx context.Context) Pass {
	actual, err := e.Observe(ctx)
	var held *Held
	desired := e.desired
	if err == nil {
		desired, held, err = e.Guard.check(ctx, e.desired, actual)
	}
	if err != nil {
		e.failures++
		e.faults.heard("", err)
		return e.tell(Pass{Err: err})
	}
	e.failures = 0
	e.faults.heard("", nil)
	steps := e.Plan(desired, actual)
	planned := e.dispatch(ctx, steps)
	return e.tell(e.outcome(steps, planned, e.States(desired, actual), held))
}

// dispatch starts a worker for each subject that has steps, is idle and is not waiting for its next try.
func (e *engine[D, A, S]) dispatch(ctx context.Context, steps []S) (planned map[string]bool) {
	planned = map[string]bool{}
	bySubject, now := map[string][]S{}, time.Now()
	for _, s := range steps {
		bySubject[s.Subject()] = append(bySubject[s.Subject()], s)
	}
	for _, name := range slices.Sorted(maps.Keys(bySubject)) {
		planned[name] = true
		s := e.subject(name)
		if !now.Before(s.nextTry) {
			s.nextTry = time.Time{} // due: from now on it only waits for a worker
		}
		switch {
		case s.running || ctx.Err() != nil || !s.nextTry.IsZero() || e.once && s.err != nil:
		case e.Parallel > 0 && e.running() >= e.Parallel:
		case e.once && e.rounds[name] >= 50:
			s.err = ErrUnsettled
		default:
			s.running = true
			e.rounds[name]++
			go e.work(ctx, e.current, name, bySubject[name])
		}
	}
	for name, s := range e.subjects {
		if !planned[name] && !s.running {
			s.succeeded() // whatever failed is no longer needed
			e.faults.heard(name, nil)
			delete(e.subjects, name)
		}
	}
	return planned
}

// work runs the steps of one subject until one fails or there is newer intent.
func (e *engine[D, A, S]) work(ctx, current context.Context, name string, steps []S) {
	var err error
	for i, step := range steps {
		if err != nil || ctx.Err() != nil || i > 0 && current.Err() != nil {
			break
		}
		if e.Log != nil {
			e.Log.Info(name, step.String())
		}
		err = e.Apply(ctx, step)
	}
	e.done <- result{name, err}
}

func (e *engine[D, A, S]) tell(p Pass) Pass {
	if e.Report != nil {
		e.Report(p)
	}
	return p
}

// wait returns when there is a reason for another pass.
func (e *engine[D, A, S]) wait(ctx context.Context, desired <-chan D) {
	timer := time.NewTimer(e.delay(time.Now()))
	defer timer.Stop()
	select {
	case d := <-desired:
		e.renew(d)
	case r := <-e.done:
		e.finish(r)
	case <-e.Wake:
	case <-timer.C:
	case <-ctx.Done():
	}
	for { // take what else is ready, so that one pass answers all of it
		select {
		case d := <-desired:
			e.renew(d)
		case r := <-e.done:
			e.finish(r)
		case <-e.Wake:
		default:
			return
		}
	}
}

// renew takes over new intent: steps under way are the last of their plan, and nobody waits for a next try.
func (e *engine[D, A, S]) renew(d D) {
	e.desired = d
	e.newer()
	e.current, e.newer = context.WithCancel(context.Background())
	for _, s := range e.subjects {
		s.nextTry, s.attempts = time.Time{}, 0
	}
}

func (e *engine[D, A, S]) finish(r result) {
	s := e.subject(r.subject)
	s.running = false
	if r.err == nil {
		s.succeeded()
	} else {
		s.failed(r.err, time.Now())
	}
	e.faults.heard(r.subject, r.err)
}

// delay is the time until the next pass when nothing happens before.
func (e *engine[D, A, S]) delay(now time.Time) time.Duration {
	resync := e.Resync
	if resync <= 0 {
		resync = 30 * time.Second
	}
	delay := resync + time.Duration((rand.Float64()-0.5)*0.2*float64(resync))
	if e.once {
		delay = min(delay, time.Second)
	}
	if e.failures > 0 {
		delay = min(delay, firstRetry<<min(e.failures-1, 6))
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

// drain waits for the workers, for at most Grace.
func (e *engine[D, A, S]) drain() {
	timeout := time.After(Grace)
	for e.running() > 0 {
		select {
		case r := <-e.done:
			e.finish(r)
		case <-timeout:
			go func() { // nobody else would take what the late workers send
				for range e.done {
				}
			}()
			return
		}
	}
}

func (e *engine[D, A, S]) running() (n int) {
	for _, s := range e.subjects {
		if s.running {
			n++
		}
	}
	return n
}

func (e *engine[D, A, S]) subject(name string) *subject {
	if e.subjects[name] == nil {
		e.subjects[name] = &subject{}
	}
	return e.subjects[name]
}
