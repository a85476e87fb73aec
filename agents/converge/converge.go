// Package converge is the one loop that every agent runs, for ever:
//
//	watch → desired;  observe → actual;  plan(desired, actual) → steps;  apply;  report
//
// The loop is level-triggered: a pass looks at the newest complete intent and at the host itself, never at events or
// at what was done last, so restarting, killing or doubling an agent is always safe. It imports the standard library
// alone and knows no store: whoever writes an agent of their own fills in a [Loop] and calls [Loop.Run].
//
// # Rules it keeps
//
//   - No pass happens before the first complete desired state.
//   - The steps of one subject run in order, those of different subjects side by side; a slow subject delays no other.
//   - A failed step ends the steps of its subject in this pass and of no other. The subject is tried again after one
//     second, doubling to one minute, a fifth more or less; new intent resets that.
//   - New intent in the middle of a subject's steps: the step under way is finished, then everything is planned anew.
//   - In the steady state it is silent. A step is one Info line, however often it is tried; a fault that repeats is one
//     Warn line and, when it ends, a count.
//   - A step that destroys something ([Destroyer]) is planned once more, on a consistent read of intent, before it is done;
//     until that confirms it, its subject is held. No other step waits for that read.
//   - A subject whose steps go well and whose plan is never empty is at fault too ([ErrUnsettled]), and backs off.
package converge

import (
	"context"
	"time"
)

// Step is one change to the host. It must be a small comparable value; Apply must be atomic and idempotent.
type Step interface {
	Subject() string // what it concerns: failure and order are per subject
	String() string  // what is done and why, in one line
}

// Destroyer is a step that may take away what somebody still uses or what cannot be had back. When the loop's [Guard] can read intent anew, such a
// step is done only if planning on that gives the very same step again, so it must be comparable with ==.
type Destroyer interface {
	Destroys() bool
}

// Loop is an agent: four plain functions and how often they run. D is what is desired, A what is actual, S a step.
type Loop[D, A any, S Step] struct {
	// Observe reads the host. It is told nothing of what is desired: what an agent owns must be recognisable on the
	// host alone. An error ends the pass; nothing is planned on half a view.
	Observe func(context.Context) (A, error)
	// Plan decides everything and touches nothing, neither the host nor what it is given: it may be asked from several
	// goroutines. Its order is deterministic.
	Plan func(D, A) []S
	// Apply does one step. Its context ends when the agent shall stop; a step that must not be cut in the middle
	// shields itself with context.WithoutCancel and a bound of its own, at most 4 s (less than [Grace]).
	Apply func(context.Context, S) error
	// States tells a person where each subject stands.
	States func(D, A) map[string]State
	// Guard, when set, decides which subjects that vanished from intent may be removed.
	Guard *Guard[D, A]
	// Report, when set, is called after each pass, from one goroutine.
	Report func(Pass)
	// Log, when set, hears of steps and faults.
	Log Log
	// Wake, when set, asks for a pass: an observation changed by itself.
	Wake <-chan struct{}
	// Resync is the longest time between two passes, jittered by a tenth; 30 s when 0.
	Resync time.Duration
	// Parallel bounds how many subjects are worked on at once; no bound when 0.
	Parallel int
}

// State is where one subject stands, made by an agent from what is desired and what is actual.
type State struct {
	Want   string
	Have   string
	Phase  string // Converged, Working, Waiting, or a word of the agent's own
	Reason string // why, in words
	Moves  bool   // it will change without a step, within a time that the agent bounds: Once waits for it
}

// Phases that the loop itself uses.
const (
	Converged = "converged" // nothing to do
	Working   = "working"   // steps are planned or under way
	Waiting   = "waiting"   // a precondition is absent; no step can help
	Failed    = "failed"    // the last step failed; it is tried again

	Unconfirmed = "held" // a step that destroys something waits until a consistent read confirms it; that is tried again
)

// Log is where the loop speaks. Subject is "" for the agent as a whole.
type Log interface {
	Info(subject, text string)
	Warn(subject, text string)
}

// Pass is what one look at the world found.
type Pass struct {
	Outcomes map[string]Outcome
	Steps    []string // planned and not yet done, in order
	Held     *Held    // set while removals are held back as a whole
	Err      error    // of Observe: the rest is then empty
}

// Outcome is where one subject stands after a pass.
type Outcome struct {
	State
	Err      error // of its last step, nil once a step succeeded or none is needed
	Attempts int   // failures in a row
	NextTry  time.Time
}

// Converged reports whether nothing is left to do and nothing is wrong.
func (p Pass) Converged() bool {
	if p.Err != nil || len(p.Steps) > 0 || p.Held != nil {
		return false
	}
	for _, o := range p.Outcomes {
		if o.Err != nil || o.Phase != Converged {
			return false
		}
	}
	return true
}

// Failed reports whether a step or an observation failed.
func (p Pass) Failed() bool {
	for _, o := range p.Outcomes {
		if o.Err != nil {
			return true
		}
	}
	return p.Err != nil
}
