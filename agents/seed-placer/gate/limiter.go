// Package gate decides which calls may go on: so many at once, so many waiting, and none that would wait in vain.
//
// A queue is there to take bursts, those of a machine that stood still for a moment, and a few callers more than can be
// served at once: whoever waits has time. Only a queue in which, for [Standing] on end, somebody has waited for longer than
// [Long], while as many come as get in, is overload: one that only drains is not, however long a call takes. Until it was empty, who waits longer than a short time is refused then, and who came last goes first,
// for the others have used up most of the time that they have.
package gate

import (
	"container/list"
	"errors"
	"sync"
	"time"
)

// The reasons why a call may not go on.
var (
	ErrFull = errors.New("too many calls wait already")
	ErrLate = errors.New("the turn of this call did not come in time")
)

// A queue is overload once somebody has waited in it for longer than Long, whoever it was, for Standing on end. Both are time
// that the process ran.
const (
	OverloadAfter = 100 * time.Millisecond
	SlowAfter     = 100 * time.Millisecond
)

// tick is how exactly a gate sees who has waited too long. A tick that comes late says that the process stood still, and
// counts for no more than twice that: who could not go on is not to blame.
const tick = 5 * time.Millisecond

// MaxWait is how long a call may wait for its turn: Burst as a rule, and Overload while there is too much to do.
type MaxWait struct{ Burst, Overload time.Duration }

// Minus is what is left of it after a wait.
func (p MaxWait) Minus(waited time.Duration) MaxWait {
	return MaxWait{p.Burst - waited, p.Overload - waited}
}

// Limiter lets a bounded number of calls in. It must be made by [New].
type Limiter struct {
	mu         sync.Mutex
	limit      int
	maxWaiting int
	active     int
	waiting    list.List // of *place, the one that waits longest first
	rejected   uint64
	clock
}

// clock is the time in which the process ran, as far as somebody waited.
type clock struct {
	ticking     bool
	elapsed     time.Duration // up to the last tick
	lastTick    time.Time     // of that tick
	idle        bool          // the queue was empty, and nobody came since
	lastFast    time.Duration // when nobody had waited for long, the last time, of ran
	overloaded  bool          // it is overload
	lastTimeout time.Duration // when somebody waited in vain last, of ran
	flow                      // since brisk
}

// flow is how many began to wait, and how many of those that waited got in.
type flow struct{ arrived, admitted int }

// drains reports whether nobody else comes, or far fewer than get in; slack is for those that are about to come again.
func (b flow) drains(slack int) bool { return b.arrived == 0 || b.admitted > b.arrived+slack }

// waiter is one call that waits.
type waiter struct {
	result   chan error // takes one word and never blocks
	arrived  time.Time
	enqueued time.Duration // of the gate's clock
	maxWait  MaxWait
}

// New returns a gate for limit calls at once and queue calls that wait.
func New(limit, queue int) *Limiter {
	return &Limiter{limit: limit, maxWaiting: queue, clock: clock{idle: true, lastTimeout: -OverloadAfter}}
}

// Acquire lets a call in, or has it wait for its turn for as long as it may. Who got in must call Leave.
func (l *Limiter) Acquire(p MaxWait) error {
	l.mu.Lock()
	if l.active < l.limit {
		l.active++
		l.mu.Unlock()
		return nil
	}
	if l.waiting.Len() >= l.maxWaiting {
		l.rejected++
		l.mu.Unlock()
		return ErrFull
	}
	arrived := time.Now()
	if !l.ticking {
		l.ticking, l.lastTick = true, arrived
		time.AfterFunc(tick, l.expire)
	}
	now := l.now(arrived)
	if l.idle {
		l.idle, l.overloaded, l.lastFast = false, false, now
	}
	w := &waiter{result: make(chan error, 1), arrived: arrived, enqueued: now, maxWait: p}
	l.waiting.PushBack(w)
	l.arrived++
	l.mu.Unlock()
	return <-w.result
}

// now is the time on the gate's clock.
func (c *clock) now(at time.Time) time.Duration { return c.elapsed + min(at.Sub(c.lastTick), 2*tick) }

// detectOverload sees whether the queue is overload by now. That ends when it is empty; where all that waited were refused, it was
// not: they ask again.
func (l *Limiter) detectOverload(now time.Duration) {
	if first := l.waiting.Front(); first == nil || now-first.Value.(*waiter).enqueued <= SlowAfter || !l.overloaded && l.drains(l.limit+1) {
		l.lastFast, l.flow = now, flow{}
	}
	l.overloaded = l.overloaded || now-l.lastFast >= OverloadAfter
}

// expire refuses who has waited too long, for as long as anybody waits.
func (l *Limiter) expire() {
	l.mu.Lock()
	defer l.mu.Unlock()
	at := time.Now()
	now := l.now(at)
	l.elapsed, l.lastTick = now, at
	l.detectOverload(now)
	for e := l.waiting.Front(); e != nil; {
		w, element := e.Value.(*waiter), e
		e = e.Next()
		if at.Sub(w.arrived) >= w.maxWait.Burst || l.overloaded && now-w.enqueued >= w.maxWait.Overload {
			l.waiting.Remove(element)
			l.rejected, l.lastTimeout = l.rejected+1, now
			w.result <- ErrLate
		}
	}
	if l.ticking = l.waiting.Len() > 0; l.ticking {
		time.AfterFunc(tick, l.expire)
	}
}

// AcquireNow lets a call in, whoever else is there: it was in before, and has waited for something else.
func (l *Limiter) AcquireNow() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.active++
}

// TryAcquire lets a call in when it need not wait.
func (l *Limiter) TryAcquire() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.active >= l.limit {
		return false
	}
	l.active++
	return true
}

// Release ends a call that got in, and gives its place to one that waits.
func (l *Limiter) Release() {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.active > l.limit || l.waiting.Len() == 0 {
		l.idle = l.idle || l.active <= l.limit
		l.active--
		return
	}
	now, next := l.now(time.Now()), l.waiting.Front()
	if l.overloaded {
		next = l.waiting.Back()
	}
	l.waiting.Remove(next).(*waiter).result <- nil
	l.admitted++
	l.idle = l.waiting.Len() == 0 && now-l.lastTimeout >= OverloadAfter
}

// Counts returns how many calls are inside, how many wait, and how many were ever refused.
func (l *Limiter) Counts() (inside, waiting int, refused uint64) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.active, l.waiting.Len(), l.rejected
}
