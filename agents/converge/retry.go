package converge

import (
	"fmt"
	"math/rand/v2"
	"time"
)

// Bounds and jitter of the back-off of one subject. The jitter keeps hosts that failed together from retrying together.
const (
	firstRetry  = time.Second
	lastRetry   = time.Minute
	retryJitter = 0.2
)

// subject is the state of one subject between two passes. Losing it is harmless.
type subject struct {
	running     bool
	lastStarted time.Time // when its last worker started
	rounds      int       // that succeeded since its plan was empty, intent changed or one failed
	err         error     // of its last round
	failedStep  string    // the step that returned err
	attempts    int       // failed ones, in a row
	nextTry     time.Time // zero: as soon as a worker is free
}

func (s *subject) succeeded() { s.err, s.failedStep, s.attempts, s.nextTry = nil, "", 0, time.Time{} }

// reset clears the failures of an outdated plan.
func (s *subject) reset() {
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
	s.nextTry = now.Add(jittered(delay, retryJitter)) // keeps the monotonic reading: a clock step does not move the try
}

// jittered returns d plus or minus a random part of at most share*d.
func jittered(d time.Duration, share float64) time.Duration {
	return d + time.Duration((rand.Float64()*2-1)*share*float64(d))
}

// faultLog logs a repeated fault once and counts the repetitions.
type faultLog struct {
	log     Log
	last    map[string]string
	repeats map[string]int
}

func newFaultLog(log Log) *faultLog {
	return &faultLog{log: log, last: map[string]string{}, repeats: map[string]int{}}
}

// record logs err unless it equals the subject's previous one. A nil err ends the count.
func (f *faultLog) record(subject string, err error) {
	text := ""
	if err != nil {
		text = err.Error()
	}
	if text == f.last[subject] {
		if text != "" {
			f.repeats[subject]++
		}
		return
	}
	if n := f.repeats[subject]; n > 0 && f.log != nil {
		f.log.Warn(subject, fmt.Sprintf("repeated %d times: %s", n, f.last[subject]))
	}
	delete(f.repeats, subject)
	delete(f.last, subject)
	if text == "" {
		return
	}
	f.last[subject] = text
	if f.log != nil {
		f.log.Warn(subject, text)
	}
}
