package main

import (
	"runtime"
	"sync"
	"time"

	"github.com/platypus-platform/platypus/intent/fleet"
)

// request is a step that waits for its transaction.
type request struct {
	step fleet.Step
	name string // of the instance
	done chan error
}

// queue is the steps that wait, by the machine that they are to go to; those that go to none are in a lane of their own.
// Steps of one lane can share a transaction, and a lane whose machine is in one need not be looked at.
type queue struct {
	news  chan struct{} // there is something that was not there
	mu    sync.Mutex
	lanes map[fleet.Spot][]*request // none is empty
	order []fleet.Spot              // of the lanes: the one that has waited longest first
	added int                       // so far
	ended error                     // why nothing waits any more
}

func newQueue() *queue {
	return &queue{news: make(chan struct{}, 1), lanes: map[fleet.Spot][]*request{}}
}

func (q *queue) add(r *request) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.ended != nil {
		r.done <- q.ended
		return
	}
	q.added++
	q.put(r.step.To, append(q.lanes[r.step.To], r))
	select {
	case q.news <- struct{}{}:
	default:
	}
}

// put gives a lane what waits in it; a lane that had nothing goes behind all others.
func (q *queue) put(to fleet.Spot, lane []*request) {
	if len(q.lanes[to]) == 0 {
		q.order = append(q.order, to)
	}
	q.lanes[to] = lane
}

// comes lets those run that are about to add something, and reports whether anything came: the steps of a pass come at
// once, each from a goroutine of its own, and are to share transactions.
func (q *queue) comes() (came bool) {
	for before := q.count(); ; came = true {
		runtime.Gosched()
		now := q.count()
		if now == before {
			return came
		}
		before = now
	}
}

// breath is longer than a pass takes from one step to the next, and short beside a transaction.
const breath = 100 * time.Microsecond

// calm returns when nothing came for a breath: the steps of a pass are to share transactions from the first on.
func (q *queue) calm() {
	for before, now := -1, q.count(); now != before; now = q.count() {
		before = now
		time.Sleep(breath)
	}
}

func (q *queue) count() int {
	q.mu.Lock()
	defer q.mu.Unlock()
	return q.added
}

// first returns the first batch that make makes of a lane that is not busy, each of them being tried once. What make
// leaves of a lane waits on, behind all others.
func (q *queue) first(busy func(fleet.Spot) bool, make func([]*request) (*batch, []*request)) *batch {
	q.mu.Lock()
	defer q.mu.Unlock()
	n := 0
	for range len(q.order) {
		to := q.order[n]
		if busy(to) {
			n++
			continue
		}
		copy(q.order[1:n+1], q.order[:n]) // n is small: no more than there are transactions
		q.order = q.order[1:]
		lane := q.lanes[to]
		delete(q.lanes, to)
		b, rest := make(lane)
		if len(rest) > 0 {
			q.put(to, rest)
		}
		if b != nil {
			return b
		}
	}
	return nil
}

// end ends all that wait, and all that will come.
func (q *queue) end(err error) {
	q.mu.Lock()
	defer q.mu.Unlock()
	for _, lane := range q.lanes {
		for _, r := range lane {
			r.done <- err
		}
	}
	q.lanes, q.order, q.ended = map[fleet.Spot][]*request{}, nil, err
}
