package main

import (
	"fmt"
	"strings"
	"time"

	"github.com/platypus-platform/platypus/agents/converge"
)

// Desired is what holds for every tree: all that is declared is in the history, and the history holds no more than it
// must. What wakes the recorder is that the tree changed.
type Desired struct {
	Index uint64 // of the store, at which the tree was seen to change
	Keep  Keep
}

// Keep says how much of the history stays: so many commits and all that are younger than an age, whichever is more.
type Keep struct {
	Commits int
	Age     time.Duration
	All     bool // nothing goes
}

// Actual is how the tree and its history compare.
type Actual struct {
	Seq     uint64    // the newest commit; 0: there is no history
	Keys    int       // declared
	Pending []Pending // what the history was not told of, by key
	Floor   uint64    // the first commit that is kept; 0: all are
	Excess  uint64    // the first commit that must be kept, when it is worth while to let go of those before it; otherwise 0
	Pin     string    // what keeps more commits than Keep asks for, such as a mirror that does not have them; "" when nothing does
}

// Pending is one key whose value is not the recorded one.
type Pending struct {
	Key  string
	What string // "written", "deleted", "deleted and written anew"
}

// The subjects: they fail one by one.
const (
	recording = "recording"
	retention = "retention"
)

// Record is the step that records what plain writes did.
type Record struct {
	Count int
	First string // what happened to the first key
	New   bool   // the history begins with it
}

// Subject is the recording.
func (Record) Subject() string { return recording }

// String says what is recorded.
func (s Record) String() string {
	text := "record " + s.First
	if s.Count > 1 {
		text += fmt.Sprintf(", and what happened to %d more keys", s.Count-1)
	}
	switch {
	case s.New && s.Count == 1:
		text = "begin the history with the one key that is declared"
	case s.New:
		text = fmt.Sprintf("begin the history with the %d keys that are declared", s.Count)
	}
	return text
}

// Compact is the step that lets go of old commits.
type Compact struct{ Before uint64 }

// Subject is the retention.
func (Compact) Subject() string { return retention }

// String says what goes.
func (s Compact) String() string {
	return fmt.Sprintf("let go of the commits before %d: they are older and more than what is to be kept", s.Before)
}

// plan decides what to record and what to let go of.
func plan(d Desired, a Actual) (steps []converge.Step) {
	if n := len(a.Pending); n > 0 {
		steps = append(steps, Record{Count: n, First: a.Pending[0].Key + " (" + a.Pending[0].What + ")", New: a.Seq == 0})
	}
	if !d.Keep.All && a.Excess > a.Floor && a.Excess > 1 {
		steps = append(steps, Compact{Before: a.Excess})
	}
	return steps
}

// states tell how far the history is.
func states(d Desired, a Actual) map[string]converge.State {
	record := converge.State{Phase: converge.Converged, Want: fmt.Sprintf("%d keys recorded", a.Keys), Have: fmt.Sprintf("%d keys as of commit %d", a.Keys-len(a.Pending), a.Seq)}
	if n := len(a.Pending); n > 0 {
		var keys []string
		for _, p := range a.Pending[:min(n, 3)] {
			keys = append(keys, p.Key)
		}
		record.Phase, record.Reason = converge.Working, fmt.Sprintf("%d not recorded: %s", n, strings.Join(keys, ", "))
	}
	kept := converge.State{Phase: converge.Converged, Want: fmt.Sprintf("%d commits and %s", d.Keep.Commits, d.Keep.Age), Have: fmt.Sprintf("from commit %d on", max(a.Floor, 1))}
	switch {
	case d.Keep.All:
		kept.Want = "all commits"
	case a.Pin != "":
		kept.Reason = "more could go but for " + a.Pin
	}
	return map[string]converge.State{recording: record, retention: kept}
}
