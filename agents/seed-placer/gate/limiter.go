// Package gate is admission control: it limits concurrent calls, queues a bounded number, and rejects those that
// would wait in vain.
//
// The queue absorbs bursts, such as after a stall of the machine. It counts as overloaded only when, for
// [OverloadAfter] on end, some call has waited longer than [SlowAfter] while arrivals keep up with admissions; a
// queue that only drains is not overloaded, however long calls take. While overloaded, callers are rejected after
// MaxWait.Overload and the queue is LIFO, until it is empty: the oldest callers have used up most of their time.
package gate

import (
	"container/list"
	"errors"
	"sync"
	"time"
)

// Reasons for a rejection.
var (
	ErrFull = errors.New("too many calls wait already")
	ErrLate = errors.New("the turn of this call did not come in time")
)

// The queue is overloaded when for OverloadAfter on end some call has waited longer than SlowAfter. Both count only
// time in which the process was running.
const (
	OverloadAfter = 100 * time.Millisecond
	SlowAfter     = 100 * time.Millisecond
)

// tick is the interval of the timeout check. A late tick means that the process was stalled, so it counts as at most
// two ticks: a stall is not overload.
const tick = 5 * time.Millisecond

// MaxWait is how long a call may wait: Burst normally, and Overload while the queue is overloaded.
type MaxWait struct{ Burst, Overload time.Duration }

// Minus returns what remains after a wait.
func (p MaxWait) Minus(waited time.Duration) MaxWait {
	return MaxWait{p.Burst - waited, p.Overload - waited}
}

// Limiter limits concurrent calls. Make it with [New].
type Limiter struct {
	mu         sync.Mutex
	limit      int
	maxWaiting int
	active     int
	waiting    list.List // of *waiter, the oldest first
	rejected   uint64
	clock
}

// clock measures time in which the process ran and the queue was not empty.
type clock struct {
	ticking     bool
	elapsed     time.Duration // running time up to the last tick
	lastTick    time.Time     // wall time of that tick
	idle        bool          // the queue is empty and has had no arrivals since
	lastFast    time.Duration // elapsed time at which the queue was last fast
	overloaded  bool          // callers are rejected early, and the newest goes first
	lastTimeout time.Duration // elapsed time of the last timeout
	flow                      // since lastFast
}

// flow counts arrivals in the queue and admissions from it.
type flow struct{ arrived, admitted int }

// drains reports whether there are no arrivals, or far fewer than admissions; slack allows for callers that return at
// once.
func (b flow) drains(slack int) bool { return b.arrived == 0 || b.admitted > b.arrived+slack }

// waiter is one queued call.
type waiter struct {
	result   chan error // buffered for one result, so that sending never blocks
	arrived  time.Time
	enqueued time.Duration // on the limiter's clock
	maxWait  MaxWait
}

// New returns a limiter for limit concurrent calls and queue waiting ones.
func New(limit, queue int) *Limiter {
	return &Limiter{limit: limit, maxWaiting: queue, clock: clock{idle: true, lastTimeout: -OverloadAfter}}
}

// Acquire admits a call, or queues it for at most p. After success the caller must call Release.
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

// now converts a wall time to the limiter's clock.
func (c *clock) now(at time.Time) time.Duration { return c.elapsed + min(at.Sub(c.lastTick), 2*tick) }

// detectOverload updates whether the queue is overloaded. A queue emptied only by rejections still counts as
// overloaded: those callers will retry.
func (l *Limiter) detectOverload(now time.Duration) {
	if first := l.waiting.Front(); first == nil || now-first.Value.(*waiter).enqueued <= SlowAfter || !l.overloaded && l.drains(l.limit+1) {
		l.lastFast, l.flow = now, flow{}
	}
	l.overloaded = l.overloaded || now-l.lastFast >= OverloadAfter
}

// expire rejects calls that have waited too long. It runs every tick while the queue is not empty.
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

// AcquireNow admits a call above the limit: one that was admitted before and has waited for something else.
func (l *Limiter) AcquireNow() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.active++
}

// TryAcquire admits a call if it need not wait.
func (l *Limiter) TryAcquire() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.active >= l.limit {
		return false
	}
	l.active++
	return true
}

// Release ends an admitted call and admits a waiting one.
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

// Counts returns the admitted calls, the waiting calls, and the total of rejections.
func (l *Limiter) Counts() (inside, waiting int, refused uint64) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.active, l.waiting.Len(), l.rejected
}
