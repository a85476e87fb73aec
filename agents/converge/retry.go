package converge

import (
	"fmt"
	"math/rand/v2"
	"time"
)

// Bounds of the back-off of one subject, and by which share of it a delay is longer or shorter at random: what fails on
// many hosts at once must not be tried by all of them at once, for ever.
const (
	firstRetry  = time.Second
	lastRetry   = time.Minute
	retryJitter = 0.2
)

// subject is what the loop remembers of one subject between two passes. All of it may be forgotten without harm.
type subject struct {
	running    bool
	begun      time.Time // when its last worker began
	rounds     int       // that went well, since its plan was empty, intent was new or one failed
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
	s.nextTry = now.Add(jittered(delay, retryJitter)) // keeps the monotonic clock of now: a clock that is set moves no try
}

// jittered returns a delay that differs from d by at most the given share of it.
func jittered(d time.Duration, share float64) time.Duration {
	return d + time.Duration((rand.Float64()*2-1)*share*float64(d))
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
