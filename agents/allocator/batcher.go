package main

import (
	"runtime"
	"sync"
	"time"

	"github.com/platypus-platform/platypus/intent/fleet"
)

// request is a step waiting for its transaction.
type request struct {
	step fleet.Step
	name string // of the instance
	done chan error
}

// batcher queues steps by destination machine; steps without one share the zero key. Steps of one machine can share a
// transaction, and a machine that is part of a running transaction can be skipped as a whole.
type batcher struct {
	notEmpty   chan struct{} // signalled when a request is added
	mu         sync.Mutex
	perMachine map[fleet.Spot][]*request // no slice is empty
	order      []fleet.Spot              // machines with queued requests, longest-waiting first
	added      int                       // total number of requests ever added
	closedWith error                     // set once closed: the result of every later request
}

func newBatcher() *batcher {
	return &batcher{notEmpty: make(chan struct{}, 1), perMachine: map[fleet.Spot][]*request{}}
}

func (q *batcher) add(r *request) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.closedWith != nil {
		r.done <- q.closedWith
		return
	}
	q.added++
	q.put(r.step.To, append(q.perMachine[r.step.To], r))
	select {
	case q.notEmpty <- struct{}{}:
	default:
	}
}

// put stores the queue of one machine; a machine that had none goes to the end of the order.
func (q *batcher) put(to fleet.Spot, requests []*request) {
	if len(q.perMachine[to]) == 0 {
		q.order = append(q.order, to)
	}
	q.perMachine[to] = requests
}

// yieldToProducers yields to goroutines that are about to add requests and reports whether any arrived. Each step of
// a pass is applied by its own goroutine, and these steps should share transactions.
func (q *batcher) yieldToProducers() (arrived bool) {
	for before := q.count(); ; arrived = true {
		runtime.Gosched()
		now := q.count()
		if now == before {
			return arrived
		}
		before = now
	}
}

// quietTime is longer than a pass needs between two steps, and short compared with a transaction.
const quietTime = 100 * time.Microsecond

// waitQuiet returns when no request arrived for quietTime, so that even the first transaction of a pass is shared.
func (q *batcher) waitQuiet() {
	for before, now := -1, q.count(); now != before; now = q.count() {
		before = now
		time.Sleep(quietTime)
	}
}

func (q *batcher) count() int {
	q.mu.Lock()
	defer q.mu.Unlock()
	return q.added
}

// take calls build for each machine that is not busy, at most once each, and returns the first batch built. Requests
// that build leaves over go to the end of the queue.
func (q *batcher) take(busy func(fleet.Spot) bool, build func([]*request) (*batch, []*request)) *batch {
	q.mu.Lock()
	defer q.mu.Unlock()
	n := 0
	for range len(q.order) {
		to := q.order[n]
		if busy(to) {
			n++
			continue
		}
		copy(q.order[1:n+1], q.order[:n]) // n is small: at most the number of running transactions
		q.order = q.order[1:]
		requests := q.perMachine[to]
		delete(q.perMachine, to)
		b, rest := build(requests)
		if len(rest) > 0 {
			q.put(to, rest)
		}
		if b != nil {
			return b
		}
	}
	return nil
}

// close fails all queued and all future requests.
func (q *batcher) close(err error) {
	q.mu.Lock()
	defer q.mu.Unlock()
	for _, requests := range q.perMachine {
		for _, r := range requests {
			r.done <- err
		}
	}
	q.perMachine, q.order, q.closedWith = map[fleet.Spot][]*request{}, nil, err
}
