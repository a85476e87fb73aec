package intent

import (
	"slices"
	"time"
)

// Report is the state that an agent reports for all its subjects on one node: the value of status/<agent>/<node>. It is
// made from observations, never from past actions, and written only when it changed.
type Report struct {
	Agent       string           `json:"agent"`
	Node        Name             `json:"node"`
	Version     string           `json:"version"`      // of the agent
	IntentIndex uint64           `json:"intent_index"` // the store's index when the intent was read
	Converged   bool             `json:"converged"`    // nothing is left to do and nothing is wrong
	Since       time.Time        `json:"since"`        // when Converged last changed
	Held        *Held            `json:"held,omitempty"`
	Reason      string           `json:"reason,omitempty"` // why the node needs no action, with the next step
	Subjects    map[string]State `json:"subjects"`
}

// State is what an agent reports for one subject.
type State struct {
	Want     string    `json:"want,omitempty"`
	Have     string    `json:"have,omitempty"`
	Phase    string    `json:"phase"`              // converged, working, waiting, failed, invalid, incomplete, held, …
	Reason   string    `json:"reason,omitempty"`   // why it is in that phase, in words, with the next step
	Error    string    `json:"error,omitempty"`    // of the last attempt
	Since    time.Time `json:"since,omitzero"`     // when the phase was entered
	Attempts int       `json:"attempts,omitempty"` // consecutive failures
	NextTry  time.Time `json:"next_try,omitzero"`
	// Transitions are the last changes of the wanted value, the phase, or the error, oldest first.
	Transitions []Transition `json:"transitions,omitempty"`
}

// Transition is a change of state and its time.
type Transition struct {
	At    time.Time `json:"at"`
	Phase string    `json:"phase"`
	Want  string    `json:"want,omitempty"`
	Text  string    `json:"text,omitempty"` // the error or the reason, truncated
}

// Gone is the phase of a transition by which an agent stopped managing a subject.
const Gone = "gone"

// Held reports that an agent holds removals until a person confirms them.
type Held struct {
	Removes []string `json:"removes"`       // the subjects that would be removed, sorted
	Owned   int      `json:"owned"`         // the total number of its subjects
	Why     string   `json:"why,omitempty"` // what else makes a mistake likely, besides their number
}

// Confirmation is the value of a confirm key: a person's permission for held removals.
type Confirmation struct {
	Removes []string  `json:"removes"` // exactly what may be removed
	At      time.Time `json:"at"`      // time of the confirmation, which expires
	By      string    `json:"by,omitempty"`
}

// Covers reports whether the confirmation allows all of removes and is not older than life.
func (c Confirmation) Covers(removes []string, now time.Time, life time.Duration) bool {
	for _, subject := range removes {
		if !slices.Contains(c.Removes, subject) {
			return false
		}
	}
	return now.Sub(c.At).Abs() <= life
}

// Follow returns the report with the times at which states were entered, given the previous report.
func (r Report) Follow(before Report, now time.Time) Report {
	r.Since = now
	if before.Converged == r.Converged && !before.Since.IsZero() {
		r.Since = before.Since
	}
	subjects := make(map[string]State, len(r.Subjects))
	for name, state := range r.Subjects {
		state.Since = now
		if old, known := before.Subjects[name]; known && old.Phase == state.Phase && old.Want == state.Want && !old.Since.IsZero() {
			state.Since = old.Since
		}
		subjects[name] = state
	}
	r.Subjects = subjects
	return r
}
