package converge

import (
	"fmt"
	"time"
)

// Bounds of the back-off of one subject.
const (
	firstRetry = time.Second
	lastRetry  = time.Minute
)

// subject is what the loop remembers of one subject between two passes. All of it may be forgotten without harm.
type subject struct {
	running  bool
	err      error
	attempts int
	nextTry  time.Time
}

func (s *subject) succeeded() { s.err, s.attempts, s.nextTry = nil, 0, time.Time{} }

func (s *subject) failed(err error, now time.Time) {
	s.err = err
	s.attempts++
	delay := lastRetry
	if s.attempts <= 6 {
		delay = min(lastRetry, firstRetry<<(s.attempts-1))
	}
	s.nextTry = now.Add(delay)
}

// faults lets the same fault be logged once and counted from then on.
type faults struct {
	log  Log
	last map[string]string
	many map[string]int
}

func newFaults(log Log) *faults {
	return &faults{log: log, last: map[string]string{}, many: map[string]int{}}
}

// heard logs err unless it is what the subject said before. A nil err closes the count.
func (f *faults) heard(subject string, err error) {
	text := ""
	if err != nil {
		text = err.Error()
	}
	if text == f.last[subject] {
		if text != "" {
			f.many[subject]++
		}
		return
	}
	if n := f.many[subject]; n > 0 && f.log != nil {
		f.log.Warn(subject, fmt.Sprintf("repeated %d times: %s", n, f.last[subject]))
	}
	delete(f.many, subject)
	delete(f.last, subject)
	if text == "" {
		return
	}
	f.last[subject] = text
	if f.log != nil {
		f.log.Warn(subject, text)
	}
}
