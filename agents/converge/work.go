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
		steps, waits := bySubject[name], !s.nextTry.IsZero()
		held := waits && doubtful(s.err)
		if held { // what comes before the step in doubt is done all the same
			steps = harmless(steps)
		}
		switch {
		case s.running || ctx.Err() != nil || waits && !held || len(steps) == 0 || e.once && s.err != nil:
		case e.Parallel > 0 && e.running() >= e.Parallel:
		default:
			s.running, s.begun = true, now
			go e.work(ctx, result{subject: name, generation: e.generation.Load(), held: held}, s.failedStep, steps, certain)
		}
	}
	e.forget(planned)
	return planned
}

// forget drops the idle subjects that have no steps any more.
func (e *engine[D, A, S]) forget(planned map[string]bool) {
	for name, s := range e.subjects {
		if !planned[name] && !s.running {
			e.faults.heard(name, nil) // whatever failed is no longer needed
			delete(e.subjects, name)
		}
	}
}

// harmless returns the steps before the first that destroys something.
func harmless[S Step](steps []S) []S {
	if first := slices.IndexFunc(steps, destroys); first >= 0 {
		return steps[:first]
	}
	return steps
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
func (e *engine[D, A, S]) work(ctx context.Context, r result, failedStep string, steps []S, certain certainty[S]) {
	for i, step := range steps {
		if r.err != nil || ctx.Err() != nil || i > 0 && e.generation.Load() != r.generation {
			break
		}
		if r.step = step.String(); e.Log != nil && r.step != failedStep {
			e.Log.Info(r.subject, r.step)
		}
		if r.err = certain(ctx, step); r.err == nil {
			r.err = e.Apply(ctx, step)
		}
	}
	r.stale = e.generation.Load() != r.generation
	e.done <- r
}

// finish notes what became of a subject's steps. What fails because the agent is told to stop is no fault.
func (e *engine[D, A, S]) finish(r result, stopping bool) {
	s := e.subject(r.subject)
	s.running = false
	switch s.rounds++; {
	case r.err != nil:
		s.rounds = 0 // it backs off: those to come do not follow at once
	case s.rounds >= maxRounds:
		r.err = ErrUnsettled
	}
	if r.err != nil && stopping {
		return
	}
	if r.err == nil && r.held {
		return // the doubt stays, and when to ask again
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
