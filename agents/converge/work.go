package converge

import (
	"context"
	"maps"
	"slices"
	"time"
)

// dispatch starts a worker for each subject that has steps, is idle and is not waiting for its next try.
// It returns the subjects that have steps.
func (e *engine[D, A, S]) dispatch(ctx context.Context, steps []S, confirm confirmFunc[S]) (planned map[string]bool) {
	planned = map[string]bool{}
	bySubject, now := map[string][]S{}, time.Now()
	for _, s := range steps {
		name := s.Subject()
		bySubject[name] = append(bySubject[name], s)
		planned[name] = true
	}
	for _, name := range e.leastRecentFirst(bySubject) {
		s := e.subject(name)
		if !now.Before(s.nextTry) {
			s.nextTry = time.Time{} // due: it now only waits for a free worker
		}
		steps, waits := bySubject[name], !s.nextTry.IsZero()
		held := waits && isUnconfirmed(s.err)
		if held { // the steps before the unconfirmed one still run
			steps = untilDestructive(steps)
		}
		switch {
		case s.running || ctx.Err() != nil || waits && !held || len(steps) == 0 || e.once && s.err != nil:
		case e.Parallel > 0 && e.running() >= e.Parallel:
		default:
			s.running, s.lastStarted = true, now
			r := result{subject: name, generation: e.generation.Load(), held: held}
			go e.work(ctx, r, s.failedStep, steps, confirm)
		}
	}
	e.dropIdle(planned)
	return planned
}

// dropIdle removes the idle subjects that no longer have steps.
func (e *engine[D, A, S]) dropIdle(planned map[string]bool) {
	for name, s := range e.subjects {
		if !planned[name] && !s.running {
			e.faults.record(name, nil) // whatever failed is no longer needed
			delete(e.subjects, name)
		}
	}
}

// untilDestructive returns the steps before the first that destroys something.
func untilDestructive[S Step](steps []S) []S {
	if first := slices.IndexFunc(steps, destroys); first >= 0 {
		return steps[:first]
	}
	return steps
}

// leastRecentFirst sorts the subjects by the time their last worker started, then by name: with few workers, a subject
// that always has steps must not starve the others.
func (e *engine[D, A, S]) leastRecentFirst(bySubject map[string][]S) []string {
	names := slices.Sorted(maps.Keys(bySubject))
	slices.SortStableFunc(names, func(a, b string) int { return e.subject(a).lastStarted.Compare(e.subject(b).lastStarted) })
	return names
}

// work runs the steps of one subject until one fails or newer intent arrives. It does not log a step again that failed
// at the previous try.
func (e *engine[D, A, S]) work(ctx context.Context, r result, failedStep string, steps []S, confirm confirmFunc[S]) {
	for i, step := range steps {
		if r.err != nil || ctx.Err() != nil || i > 0 && e.generation.Load() != r.generation {
			break
		}
		if r.step = step.String(); e.Log != nil && r.step != failedStep {
			e.Log.Info(r.subject, r.step)
		}
		if r.err = confirm(ctx, step); r.err == nil {
			r.err = e.Apply(ctx, step)
		}
	}
	r.stale = e.generation.Load() != r.generation
	e.done <- r
}

// finish records the result of a subject's steps. An error while the agent is stopping is not a fault.
func (e *engine[D, A, S]) finish(r result, stopping bool) {
	s := e.subject(r.subject)
	s.running = false
	switch s.rounds++; {
	case r.err != nil:
		s.rounds = 0 // the back-off spaces the next rounds
	case s.rounds >= maxRounds:
		r.err = ErrUnsettled
	}
	if r.err != nil && stopping {
		return
	}
	if r.err == nil && r.held {
		return // the last step stays unconfirmed, with its next try
	}
	recovered := s.err != nil && r.err == nil
	switch {
	case r.err == nil:
		s.succeeded()
	case r.stale:
		s.reset() // the failed plan is outdated
	default:
		s.failed(r.step, r.err, time.Now())
	}
	e.faults.record(r.subject, r.err)
	if recovered && e.Log != nil {
		e.Log.Info(r.subject, "went well: "+r.step)
	}
}

// drain waits for the workers, for at most [Grace].
func (e *engine[D, A, S]) drain() {
	timeout := time.After(Grace)
	for e.running() > 0 {
		select {
		case r := <-e.done:
			e.finish(r, true)
		case <-timeout:
			go func(late int) { // else the late workers would block for ever on their send
				for range late {
					<-e.done
				}
			}(e.running())
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
