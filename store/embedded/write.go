package embedded

import (
	"context"
	"errors"
	"runtime"
)

// ErrClosed is what writes return once the store is closed.
var ErrClosed = errors.New("store is closed")

// proposal is a write that waits for the writer. apply sees every write before it; an error drops what it did.
type proposal struct {
	apply func(*change) (any, error)
	done  chan outcome
}

type outcome struct {
	value any
	err   error
}

// maxBatch bounds how many writes share one flush, and with it how long the first of them waits.
const maxBatch = 1024

// propose has a write applied and returns once it is durable. It is not given up half-way: a write whose client goes
// away may still happen.
func (s *Store) propose(ctx context.Context, apply func(*change) (any, error)) (any, error) {
	p := proposal{apply, make(chan outcome, 1)}
	select {
	case s.queue <- p:
	default: // only who must wait asks whether the client is still there: to find that out has its price
		select {
		case s.queue <- p:
		case <-ctx.Done():
			return nil, ctx.Err()
		case <-s.closing:
			return nil, ErrClosed
		}
	}
	select {
	case o := <-p.done:
		return o.value, o.err
	case <-s.stopped:
		// The writer may have answered as its last act.
		select {
		case o := <-p.done:
			return o.value, o.err
		default:
			return nil, ErrClosed
		}
	}
}

// write is the one goroutine that changes the store.
func (s *Store) write() {
	defer close(s.stopped)
	for {
		select {
		case p := <-s.queue:
			s.commit(s.gather(p))
		case <-s.closing:
			return
		}
	}
}

// gather takes what else waits. Writers that a flush has just answered tend to be about to come back, so it lets them
// run first whenever the last flush was shared.
func (s *Store) gather(first proposal) []proposal {
	batch := append(s.batch[:0], first)
	for quiet := 0; len(batch) < maxBatch; {
		select {
		case p := <-s.queue:
			batch = append(batch, p)
			quiet = 0
		default:
			if quiet++; quiet > 2 || s.lastBatch < 2 || len(batch) >= s.lastBatch {
				s.batch, s.lastBatch = batch, len(batch)
				return batch
			}
			runtime.Gosched()
		}
	}
	s.batch, s.lastBatch = batch, len(batch)
	return batch
}

// commit applies a batch, flushes it, publishes it and answers.
func (s *Store) commit(batch []proposal) {
	old := s.view.Load()
	next := *old
	outcomes := make([]outcome, len(batch))
	var records []record
	var wakes, after []func()
	for i, p := range batch {
		c := newChange(next)
		value, err := p.apply(c)
		outcomes[i] = outcome{value, err}
		if err != nil || len(c.records) == 0 {
			continue
		}
		next = c.view
		next.index = c.now
		records = append(records, c.records...)
		wakes = append(wakes, c.wakes...)
		after = append(after, c.after...)
	}
	if len(records) > 0 {
		records = append(records, record{bucketMeta, metaIndexes, next.encodeIndexes()})
		if err := s.disk.save(records, old.kept); err != nil {
			s.refuse(batch, outcomes, err)
			return
		}
		s.view.Store(&next)
	}
	for _, f := range after {
		f()
	}
	for i, p := range batch {
		p.done <- outcomes[i]
	}
	for _, wake := range wakes {
		wake()
	}
}

// refuse answers a batch that could not be made durable. Even an answer that changed nothing may rest on a write of
// the same batch that did not happen, so all of them fail.
func (s *Store) refuse(batch []proposal, outcomes []outcome, err error) {
	for i, p := range batch {
		if outcomes[i].err == nil {
			outcomes[i] = outcome{nil, err}
		}
		p.done <- outcomes[i]
	}
}
