package converge

import (
	"context"
	"maps"
	"slices"
	"time"
)

// dispatch starts a worker for each subject that has steps, is idle and is not waiting for its next try.
// Those steps that destroy something are done when certain has no objection.
func (e *engine[D, A, S]) dispatch(ctx context.Context, steps []S, certain certainty[S]) (planned map[string]bool) {
	planned = map[string]bool{}
	bySubject, now := map[string][]S{}, time.Now()
	for _, s := range steps {
		name := s.Subject()
		bySubject[name] = append(bySubject[name], s)
		planned[name] = true
	}
	for _, name := range e.inTurn(bySubject) {
		s := e.subject(name)
		if !now.Before(s.nextTry) {
			s.nextTry = time.Time{} // due: from now on it only waits for a worker
		}
		switch {
		case s.running || ctx.Err() != nil || !s.nextTry.IsZero() || e.once && s.err != nil:
		case e.Parallel > 0 && e.running() >= e.Parallel:
		default:
			s.running, s.begun = true, now
			go e.work(ctx, e.generation.Load(), s.failedStep, bySubject[name], certain)
		}
	}
	for name, s := range e.subjects {
		if !planned[name] && !s.running {
			e.faults.heard(name, nil) // whatever failed is no longer needed
			delete(e.subjects, name)
		}
	}
	return planned
}

// inTurn returns the subjects with those first that have not been worked on for the longest time, then by name: with
// few workers a subject that always has steps must not keep the others waiting for ever.
func (e *engine[D, A, S]) inTurn(bySubject map[string][]S) []string {
	names := slices.Sorted(maps.Keys(bySubject))
	slices.SortStableFunc(names, func(a, b string) int { return e.subject(a).begun.Compare(e.subject(b).begun) })
	return names
}

// work runs the steps of one subject until one fails or there is newer intent. A step that failed before is not
// announced at each new try.
func (e *engine[D, A, S]) work(ctx context.Context, generation uint64, failedStep string, steps []S, certain certainty[S]) {
	r := result{subject: steps[0].Subject()}
	for i, step := range steps {
		if r.err != nil || ctx.Err() != nil || i > 0 && e.generation.Load() != generation {
			break
		}
		if r.step = step.String(); e.Log != nil && r.step != failedStep {
			e.Log.Info(r.subject, r.step)
		}
		if r.err = certain(ctx, step); r.err == nil {
			r.err = e.Apply(ctx, step)
		}
	}
	r.stale = e.generation.Load() != generation
	e.done <- r
}

// finish notes what became of a subject's steps. What fails because the agent is told to stop is no fault.
func (e *engine[D, A, S]) finish(r result, stopping bool) {
	s := e.subject(r.subject)
	s.running = false
	if s.rounds++; r.err == nil && s.rounds >= maxRounds {
		r.err = ErrUnsettled
	}
	if r.err != nil && stopping {
		return
	}
	recovered := s.err != nil && r.err == nil
	switch {
	case r.err == nil:
		s.succeeded()
	case r.stale:
		s.renewed() // the plan that failed is no longer the one
	default:
		s.failed(r.step, r.err, time.Now())
	}
	e.faults.heard(r.subject, r.err)
	if recovered && e.Log != nil {
		e.Log.Info(r.subject, "went well: "+r.step)
	}
}

// drain waits for the workers, for at most Grace.
func (e *engine[D, A, S]) drain() {
	timeout := time.After(Grace)
	for e.running() > 0 {
		select {
		case r := <-e.done:
			e.finish(r, true)
		case <-timeout:
			go func(late int) { // nobody else would take what the late workers send
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
