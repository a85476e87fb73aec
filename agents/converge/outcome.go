package converge

// outcome puts what the agent says of its subjects together with what became of their steps.
func (e *engine[D, A, S]) outcome(steps []S, planned map[string]bool, states map[string]State, held *Held) Pass {
	p := Pass{Outcomes: make(map[string]Outcome, len(states)), Held: held}
	for _, s := range steps {
		p.Steps = append(p.Steps, s.String())
	}
	for name, state := range states {
		p.Outcomes[name] = e.subjectOutcome(name, state, planned[name])
	}
	for name := range e.subjects {
		if _, said := states[name]; !said {
			p.Outcomes[name] = e.subjectOutcome(name, State{}, true)
		}
	}
	return p
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
		o.Phase = Failed // until a try goes well, so that a report does not flicker at each try
	case (planned || s.running) && (o.Phase == "" || o.Phase == Converged):
		o.Phase = Working
	}
	return o
}
