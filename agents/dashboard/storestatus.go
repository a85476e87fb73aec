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

// storeStatus records the results of store reads. It is safe for concurrent use.
type storeStatus struct {
	mu      sync.Mutex
	faults  map[intent.Prefix]error
	checked time.Time     // when the store last answered; zero before it ever did
	changed chan struct{} // closed when up or the fault changes
}

func newStoreStatus() *storeStatus {
	return &storeStatus{faults: map[intent.Prefix]error{}, changed: make(chan struct{})}
}

// record takes the outcome of one read.
func (l *storeStatus) record(prefix intent.Prefix, err error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	before, first := errorText(l.fault()), l.checked.IsZero()
	if delete(l.faults, prefix); err != nil {
		l.faults[prefix] = err
	} else {
		l.checked = time.Now()
	}
	if errorText(l.fault()) != before || first && err == nil {
		close(l.changed)
		l.changed = make(chan struct{})
	}
}

// fault is the first of the faults by prefix, so that it does not change back and forth.
func (l *storeStatus) fault() error {
	for _, prefix := range slices.Sorted(maps.Keys(l.faults)) {
		return l.faults[prefix]
	}
	return nil
}

func errorText(err error) string {
	if err == nil {
		return ""
	}
	return err.Error()
}

// storeState is what pages are told of the link.
type storeState struct {
	Up    bool   `json:"up"`
	Words string `json:"words"`
	Error string `json:"error,omitempty"`
	Age   int64  `json:"age"` // milliseconds since the store last answered
	Index uint64 `json:"index"`
	Build string `json:"build"`
}

// state returns how things are, and a channel that is closed when that changes.
func (l *storeStatus) state(now time.Time) (storeState, <-chan struct{}) {
	l.mu.Lock()
	defer l.mu.Unlock()
	fault := l.fault()
	s := storeState{Up: fault == nil && !l.checked.IsZero(), Words: "Live", Error: fleet.Clip(errorText(fault))}
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
	return s, l.changed
}

// problem is a sentence for the page, or "".
func (s storeState) problem() string {
	if s.Up {
		return ""
	}
	return s.Words + ": " + cmp.Or(s.Error, "no answer")
}
