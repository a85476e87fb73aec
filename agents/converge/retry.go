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
	running    bool
	begun      time.Time // when its last worker began
	rounds     int       // that ended, since its plan was empty or intent was new
	err        error     // of its last round
	failedStep string    // that err is of
	attempts   int       // that failed, in a row
	nextTry    time.Time // zero: as soon as there is a worker
}

func (s *subject) succeeded() { s.err, s.failedStep, s.attempts, s.nextTry = nil, "", 0, time.Time{} }

// renewed forgets what went wrong with a plan that is no longer the one.
func (s *subject) renewed() {
	s.succeeded()
	s.rounds = 0
}

func (s *subject) failed(step string, err error, now time.Time) {
	s.err, s.failedStep = err, step
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
