// Package gate decides which calls may go on: so many at once, so many waiting, and none that would wait in vain.
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

// Gate lets a bounded number of calls in. It must be made by [New].
type Gate struct {
	mu      sync.Mutex
	limit   int
	queue   int
	inside  int
	waiting list.List // of chan struct{}, the one that waits longest first
	refused uint64
}

// New returns a gate for limit calls at once and queue calls that wait.
func New(limit, queue int) *Gate { return &Gate{limit: limit, queue: queue} }

// Enter lets a call in, or has it wait for its turn for so long at most. Who got in must call Leave.
func (g *Gate) Enter(patience time.Duration) error {
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
	turn := make(chan struct{})
	place := g.waiting.PushBack(turn)
	g.mu.Unlock()
	timer := time.NewTimer(patience)
	defer timer.Stop()
	select {
	case <-turn:
		return nil
	case <-timer.C:
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	select {
	case <-turn: // it came just now
		return nil
	default:
	}
	g.waiting.Remove(place)
	g.refused++
	return ErrLate
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

// Leave ends a call that got in, and gives its place to the one that waits longest.
func (g *Gate) Leave() {
	g.mu.Lock()
	defer g.mu.Unlock()
	if first := g.waiting.Front(); first != nil && g.inside <= g.limit {
		close(g.waiting.Remove(first).(chan struct{}))
		return
	}
	g.inside--
}

// Counts returns how many calls are inside, how many wait, and how many were ever refused.
func (g *Gate) Counts() (inside, waiting int, refused uint64) {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.inside, g.waiting.Len(), g.refused
}
