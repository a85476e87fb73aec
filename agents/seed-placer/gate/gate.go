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
	Standing = 100 * time.Millisecond
	Long     = 100 * time.Millisecond
)

// tick is how exactly a gate sees who has waited too long. A tick that comes late says that the process stood still, and
// counts for no more than twice that: who could not go on is not to blame.
const tick = 5 * time.Millisecond

// Patience is how long a call may wait for its turn: Burst as a rule, and Overload while there is too much to do.
type Patience struct{ Burst, Overload time.Duration }

// Less is what is left of it after a wait.
func (p Patience) Less(waited time.Duration) Patience {
	return Patience{p.Burst - waited, p.Overload - waited}
}

// Gate lets a bounded number of calls in. It must be made by [New].
type Gate struct {
	mu      sync.Mutex
	limit   int
	queue   int
	inside  int
	waiting list.List // of *place, the one that waits longest first
	refused uint64
	clock
}

// clock is the time in which the process ran, as far as somebody waited.
type clock struct {
	ticking bool
	ran     time.Duration // up to the last tick
	at      time.Time     // of that tick
	calm    bool          // the queue was empty, and nobody came since
	brisk   time.Duration // when nobody had waited for long, the last time, of ran
	over    bool          // it is overload
	late    time.Duration // when somebody waited in vain last, of ran
	balance               // since brisk
}

// balance is how many began to wait, and how many of those that waited got in.
type balance struct{ arrived, admitted int }

// drains reports whether nobody else comes, or far fewer than get in; slack is for those that are about to come again.
func (b balance) drains(slack int) bool { return b.arrived == 0 || b.admitted > b.arrived+slack }

// place is one call that waits.
type place struct {
	turn     chan error // takes one word and never blocks
	came     time.Time
	since    time.Duration // of the gate's clock
	patience Patience
}

// New returns a gate for limit calls at once and queue calls that wait.
func New(limit, queue int) *Gate {
	return &Gate{limit: limit, queue: queue, clock: clock{calm: true, late: -Standing}}
}

// Enter lets a call in, or has it wait for its turn for as long as it may. Who got in must call Leave.
func (g *Gate) Enter(p Patience) error {
	g.mu.Lock()
	if g.inside < g.limit {
		g.inside++
		g.mu.Unlock()
		return nil
	}
	if g.waiting.Len() >= g.queue {
		g.refused++
		g.mu.Unlock()
		return ErrFull
	}
	came := time.Now()
	if !g.ticking {
		g.ticking, g.at = true, came
		time.AfterFunc(tick, g.look)
	}
	now := g.now(came)
	if g.calm {
		g.calm, g.over, g.brisk = false, false, now
	}
	one := &place{turn: make(chan error, 1), came: came, since: now, patience: p}
	g.waiting.PushBack(one)
	g.arrived++
	g.mu.Unlock()
	return <-one.turn
}

// now is the time on the gate's clock.
func (c *clock) now(at time.Time) time.Duration { return c.ran + min(at.Sub(c.at), 2*tick) }

// judge sees whether the queue is overload by now. That ends when it is empty; where all that waited were refused, it was
// not: they ask again.
func (g *Gate) judge(now time.Duration) {
	if first := g.waiting.Front(); first == nil || now-first.Value.(*place).since <= Long || !g.over && g.drains(g.limit+1) {
		g.brisk, g.balance = now, balance{}
	}
	g.over = g.over || now-g.brisk >= Standing
}

// look refuses who has waited too long, for as long as anybody waits.
func (g *Gate) look() {
	g.mu.Lock()
	defer g.mu.Unlock()
	at := time.Now()
	now := g.now(at)
	g.ran, g.at = now, at
	g.judge(now)
	for e := g.waiting.Front(); e != nil; {
		one, this := e.Value.(*place), e
		e = e.Next()
		if at.Sub(one.came) >= one.patience.Burst || g.over && now-one.since >= one.patience.Overload {
			g.waiting.Remove(this)
			g.refused, g.late = g.refused+1, now
			one.turn <- ErrLate
		}
	}
	if g.ticking = g.waiting.Len() > 0; g.ticking {
		time.AfterFunc(tick, g.look)
	}
}

// Force lets a call in, whoever else is there: it was in before, and has waited for something else.
func (g *Gate) Force() {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.inside++
}

// TryEnter lets a call in when it need not wait.
func (g *Gate) TryEnter() bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.inside >= g.limit {
		return false
	}
	g.inside++
	return true
}

// Leave ends a call that got in, and gives its place to one that waits.
func (g *Gate) Leave() {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.inside > g.limit || g.waiting.Len() == 0 {
		g.calm = g.calm || g.inside <= g.limit
		g.inside--
		return
	}
	now, next := g.now(time.Now()), g.waiting.Front()
	if g.over {
		next = g.waiting.Back()
	}
	g.waiting.Remove(next).(*place).turn <- nil
	g.admitted++
	g.calm = g.waiting.Len() == 0 && now-g.late >= Standing
}

// Counts returns how many calls are inside, how many wait, and how many were ever refused.
func (g *Gate) Counts() (inside, waiting int, refused uint64) {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.inside, g.waiting.Len(), g.refused
}
