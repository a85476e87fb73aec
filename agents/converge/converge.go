// Package converge is the loop that every agent runs:
//
//	watch → desired;  observe → actual;  plan(desired, actual) → steps;  apply;  report
//
// The loop is level-triggered: a pass reads the newest complete intent and the host itself, never events or earlier
// actions, so restarting, killing or duplicating an agent is always safe. The package imports only the standard library
// and does not depend on a store: to write an agent, fill in a [Loop] and call [Loop.Run].
//
// # Rules
//
//   - No pass happens before the first complete desired state.
//   - The steps of one subject run in order, those of different subjects concurrently; a slow subject delays no other.
//   - A failed step ends the steps of its own subject in this pass. The subject is retried after one second, doubling
//     to one minute, with 20 % jitter; new intent resets the back-off.
//   - When new intent arrives during a subject's steps, the current step finishes, then the plan is made again.
//   - The steady state logs nothing. A step is one Info line, however often it is tried; a repeated fault is one Warn
//     line and, when it ends, a count.
//   - A destructive step ([Destroyer]) is planned again on a consistent read of intent before it is applied; until that
//     confirms it, its subject waits as [Unconfirmed]. No other step waits for that read.
//   - A subject whose steps succeed but whose plan never becomes empty fails with [ErrUnsettled] and backs off.
package converge

import (
	"context"
	"time"
)

// Step is one change to the host. It must be a small comparable value; Apply must be atomic and idempotent.
type Step interface {
	Subject() string // what it changes: failure and order are per subject
	String() string  // what is done and why, in one line
}

// Destroyer is a step that may remove something that is in use or cannot be restored. If the loop's [Guard] has Reread,
// such a step is applied only if planning on a new read gives an equal step (==).
type Destroyer interface {
	Destroys() bool
}

// Loop is an agent: four functions and how often they run. D is the desired state, A the actual state, S a step.
type Loop[D, A any, S Step] struct {
	// Observe reads the host. It does not receive the desired state: what an agent owns must be recognisable on the
	// host alone. An error ends the pass; nothing is planned on a partial view.
	Observe func(context.Context) (A, error)
	// Plan makes every decision and changes neither the host nor its arguments; it may be called from several
	// goroutines. The order of the steps is deterministic.
	Plan func(D, A) []S
	// Apply does one step, atomically and idempotently. Its context ends when the agent must stop; a step that must not
	// be interrupted uses context.WithoutCancel and its own timeout of at most 4 s (less than [Grace]).
	Apply func(context.Context, S) error
	// States describes each subject to people.
	States func(D, A) map[string]State
	// Guard, when set, decides which subjects that vanished from intent may be removed.
	Guard *Guard[D, A]
	// Report, when set, is called after each pass, from one goroutine.
	Report func(Pass)
	// Log, when set, receives steps and faults.
	Log Log
	// Wake, when set, requests a pass, for example when the host changed by itself.
	Wake <-chan struct{}
	// Resync is the longest time between two passes, jittered by a tenth; 30 s when 0.
	Resync time.Duration
	// Parallel bounds how many subjects are worked on at the same time; no bound when 0.
	Parallel int
}

// State describes one subject; an agent derives it from the desired and the actual state.
type State struct {
	Want   string
	Have   string
	Phase  string // Converged, Working, Waiting, or one that the agent defines
	Reason string // why, for people
	Moves  bool   // it will change without a step, within a time that the agent bounds: Once waits for it
}

// Phases that the loop itself uses.
const (
	Converged = "converged" // nothing to do
	Working   = "working"   // steps are planned or running
	Waiting   = "waiting"   // a precondition is missing; no step can help
	Failed    = "failed"    // the last step failed; it is retried

	Unconfirmed = "held" // a destructive step waits until a consistent read confirms it; the read is retried
)

// Log receives the loop's log lines. The subject is "" for the agent as a whole.
type Log interface {
	Info(subject, text string)
	Warn(subject, text string)
}

// Pass is the result of one pass of the loop.
type Pass struct {
	Outcomes map[string]Outcome
	Steps    []string // planned and not yet done, in order
	Held     *Held    // set while removals are held back as a whole
	Err      error    // of Observe: the rest is then empty
}

// Outcome is the state of one subject after a pass.
type Outcome struct {
	State
	Err      error // of its last step; nil once a step succeeded or none is needed
	Attempts int   // failures in a row
	NextTry  time.Time
}

// Converged reports whether nothing is left to do and every subject is in order.
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
