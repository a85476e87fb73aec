package main

import (
	"cmp"
	"errors"
	"maps"
	"slices"
	"sync"
	"time"

	"github.com/platypus-platform/platypus/agents/dashboard/fleet"
	"github.com/platypus-platform/platypus/intent"
	"github.com/platypus-platform/platypus/store"
)

// link is how the reads of the store go. It is safe for use by many goroutines.
type link struct {
	mu      sync.Mutex
	faults  map[intent.Prefix]error
	checked time.Time     // when the store last answered; zero before it ever did
	turned  chan struct{} // closed when up or the fault changes
}

func newLink() *link {
	return &link{faults: map[intent.Prefix]error{}, turned: make(chan struct{})}
}

// heard takes the outcome of one read.
func (l *link) heard(prefix intent.Prefix, err error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	before, first := text(l.fault()), l.checked.IsZero()
	if delete(l.faults, prefix); err != nil {
		l.faults[prefix] = err
	} else {
		l.checked = time.Now()
	}
	if text(l.fault()) != before || first && err == nil {
		close(l.turned)
		l.turned = make(chan struct{})
	}
}

// fault is the first of the faults by prefix, so that it does not change back and forth.
func (l *link) fault() error {
	for _, prefix := range slices.Sorted(maps.Keys(l.faults)) {
		return l.faults[prefix]
	}
	return nil
}

func text(err error) string {
	if err == nil {
		return ""
	}
	return err.Error()
}

// linkState is what pages are told of the link.
type linkState struct {
	Up    bool   `json:"up"`
	Words string `json:"words"`
	Error string `json:"error,omitempty"`
	Age   int64  `json:"age"` // milliseconds since the store last answered
	Index uint64 `json:"index"`
	Build string `json:"build"`
}

// state returns how things are, and a channel that is closed when that changes.
func (l *link) state(now time.Time) (linkState, <-chan struct{}) {
	l.mu.Lock()
	defer l.mu.Unlock()
	fault := l.fault()
	s := linkState{Up: fault == nil && !l.checked.IsZero(), Words: "Live", Error: fleet.Clip(text(fault))}
	switch {
	case errors.Is(fault, store.ErrDenied):
		s.Words = "The store refuses"
	case fault != nil:
		s.Words = "The store does not answer"
	case l.checked.IsZero():
		s.Words, s.Error = "Asking the store", "it has not answered yet"
	}
	if !l.checked.IsZero() {
		s.Age = now.Sub(l.checked).Milliseconds()
	}
	return s, l.turned
}

// trouble is a sentence for the page, or "".
func (s linkState) trouble() string {
	if s.Up {
		return ""
	}
	return s.Words + ": " + cmp.Or(s.Error, "no answer")
}
