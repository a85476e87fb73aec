package intent

import (
	"slices"
	"time"
)

// Report is what an agent says of all its subjects on one node: the value of status/<agent>/<node>. It is made from
// what was observed, never from what was last done, and written only when it changed.
type Report struct {
	Agent       string           `json:"agent"`
	Node        Name             `json:"node"`
	Version     string           `json:"version"`      // of the agent
	IntentIndex uint64           `json:"intent_index"` // the store's index when the intent was read
	Converged   bool             `json:"converged"`    // nothing is left to do and nothing is wrong
	Since       time.Time        `json:"since"`        // when Converged last changed
	Held        *Held            `json:"held,omitempty"`
	Reason      string           `json:"reason,omitempty"` // why there is nothing to do for the node, with the next step
	Subjects    map[string]State `json:"subjects"`
}

// State is what an agent says of one subject.
type State struct {
	Want     string    `json:"want,omitempty"`
	Have     string    `json:"have,omitempty"`
	Phase    string    `json:"phase"`              // converged, working, waiting, failed, invalid, incomplete, held, …
	Reason   string    `json:"reason,omitempty"`   // why it is in that phase, in words, with the next step
	Error    string    `json:"error,omitempty"`    // of the last attempt
	Since    time.Time `json:"since,omitzero"`     // when the phase was entered
	Attempts int       `json:"attempts,omitempty"` // that failed, in a row
	NextTry  time.Time `json:"next_try,omitzero"`
	// Transitions are the last changes of what is wanted, of the phase, or of the error, oldest first.
	Transitions []Transition `json:"transitions,omitempty"`
}

// Transition is the moment at which a subject entered a state.
type Transition struct {
	At    time.Time `json:"at"`
	Phase string    `json:"phase"`
	Want  string    `json:"want,omitempty"`
	Text  string    `json:"text,omitempty"` // the error or the reason, cut short
}

// Gone is the phase of a transition by which a subject left an agent's care.
const Gone = "gone"

// Held says that an agent holds back removals until a person confirms them.
type Held struct {
	Removes []string `json:"removes"`       // the subjects that would be removed, sorted
	Owned   int      `json:"owned"`         // how many it has in all
	Why     string   `json:"why,omitempty"` // what makes a mistake likely, besides their number
}

// Confirmation is the value of a confirm key: a person's go-ahead for removals that an agent holds back.
type Confirmation struct {
	Removes []string  `json:"removes"` // exactly what may be removed
	At      time.Time `json:"at"`      // when it was given; it does not count for long
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

// Follow returns the report with the times at which things entered the state they are in, given the report before.
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
