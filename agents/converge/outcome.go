package converge

import (
	"maps"
	"slices"
	"strings"
)

// outcome combines the agent's states of its subjects with the results of their steps.
func (e *engine[D, A, S]) outcome(steps []S, planned map[string]bool, states map[string]State, held *Held) Pass {
	p := Pass{Outcomes: make(map[string]Outcome, len(states)), Held: held}
	for _, s := range steps {
		p.Steps = append(p.Steps, s.String())
	}
	for name, state := range states {
		p.Outcomes[name] = e.subjectOutcome(name, state, planned[name])
	}
	for _, name := range slices.Sorted(maps.Keys(e.subjects)) {
		if _, known := states[name]; known {
			continue
		}
		parent, isPart := parentSubject(name, states)
		if !isPart {
			p.Outcomes[name] = e.subjectOutcome(name, State{}, true)
			continue
		}
		p.Outcomes[parent] = e.mergePart(p.Outcomes[parent], e.subjects[name])
	}
	return p
}

// parentSubject returns "a" for "a/b" if the agent has a state for "a": an agent may work on several parts of one
// subject concurrently, but reports show them as one.
func parentSubject(name string, states map[string]State) (string, bool) {
	at := strings.LastIndexByte(name, '/')
	if at < 0 {
		return "", false
	}
	_, known := states[name[:at]]
	return name[:at], known
}

// mergePart adds the state of one part to its subject: the most attempts, and the earliest next try.
func (e *engine[D, A, S]) mergePart(o Outcome, part *subject) Outcome {
	switch {
	case part.err != nil:
		o.Phase = phaseOf(part.err)
	case o.Phase == "" || o.Phase == Converged:
		o.Phase = Working
	}
	if part.err != nil && part.attempts > o.Attempts {
		o.Err, o.Attempts = part.err, part.attempts
	}
	if !part.nextTry.IsZero() && (o.NextTry.IsZero() || part.nextTry.Before(o.NextTry)) {
		o.NextTry = part.nextTry
	}
	return o
}

// phaseOf is the phase of a subject whose last round ended with err.
func phaseOf(err error) string {
	if isUnconfirmed(err) {
		return Unconfirmed
	}
	return Failed
}

func (e *engine[D, A, S]) subjectOutcome(name string, state State, planned bool) Outcome {
	o := Outcome{State: state}
	s := e.subjects[name]
	if s == nil {
		s = &subject{}
	}
	o.Err, o.Attempts, o.NextTry = s.err, s.attempts, s.nextTry
	switch {
	case s.err != nil:
		o.Phase = phaseOf(s.err) // until a try succeeds, so that the report does not flicker at each try
	case (planned || s.running) && (o.Phase == "" || o.Phase == Converged):
		o.Phase = Working
	}
	return o
}
