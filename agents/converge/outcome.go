package converge

import (
	"maps"
	"slices"
	"strings"
)

// outcome puts what the agent says of its subjects together with what became of their steps.
func (e *engine[D, A, S]) outcome(steps []S, planned map[string]bool, states map[string]State, held *Held) Pass {
	p := Pass{Outcomes: make(map[string]Outcome, len(states)), Held: held}
	for _, s := range steps {
		p.Steps = append(p.Steps, s.String())
	}
	for name, state := range states {
		p.Outcomes[name] = e.subjectOutcome(name, state, planned[name])
	}
	for _, name := range slices.Sorted(maps.Keys(e.subjects)) {
		if _, said := states[name]; said {
			continue
		}
		whole, part := wholeOf(name, states)
		if !part {
			p.Outcomes[name] = e.subjectOutcome(name, State{}, true)
			continue
		}
		p.Outcomes[whole] = e.with(p.Outcomes[whole], e.subjects[name])
	}
	return p
}

// wholeOf finds the subject that "a/b" is a part of: an agent may work at several things of one subject side by side,
// and to people they are one.
func wholeOf(name string, states map[string]State) (string, bool) {
	at := strings.LastIndexByte(name, '/')
	if at < 0 {
		return "", false
	}
	_, said := states[name[:at]]
	return name[:at], said
}

// with adds to a subject what became of one of its parts: the worst of their tries, and the nearest of the next ones.
func (e *engine[D, A, S]) with(o Outcome, part *subject) Outcome {
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

// phaseOf is where a subject stands whose last round ended with err.
func phaseOf(err error) string {
	if doubtful(err) {
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
		o.Phase = phaseOf(s.err) // until a try goes well, so that a report does not flicker at each try
	case (planned || s.running) && (o.Phase == "" || o.Phase == Converged):
		o.Phase = Working
	}
	return o
}
