package embedded

import (
	"context"
	"errors"
	"runtime"
)

// ErrClosed is returned by writes after Close.
var ErrClosed = errors.New("store is closed")

// writeRequest is a write queued for the commit loop. apply sees the effects of every earlier write; if it returns an
// error, its changes are dropped.
type writeRequest struct {
	apply func(*mutation) (any, error)
	done  chan writeResult
}

type writeResult struct {
	value any
	err   error
}

// maxBatch limits how many writes share one flush, and so how long the first one waits.
const maxBatch = 1024

// submit queues a write and returns once it is durable. A write whose client disconnects may still be committed.
func (s *Store) submit(ctx context.Context, apply func(*mutation) (any, error)) (any, error) {
	w := writeRequest{apply, make(chan writeResult, 1)}
	select {
	case s.queue <- w:
	default: // check ctx only when the queue is full: starting to watch for a disconnect is expensive
		select {
		case s.queue <- w:
		case <-ctx.Done():
			return nil, ctx.Err()
		case <-s.closing:
			return nil, ErrClosed
		}
	}
	select {
	case o := <-w.done:
		return o.value, o.err
	case <-s.stopped:
		// The commit loop may have answered just before it stopped.
		select {
		case o := <-w.done:
			return o.value, o.err
		default:
			return nil, ErrClosed
		}
	}
}

// commitLoop is the only goroutine that changes the store.
func (s *Store) commitLoop() {
	defer close(s.stopped)
	for {
		select {
		case w := <-s.queue:
			s.commitBatch(s.collectBatch(w))
		case <-s.closing:
			return
		}
	}
}

// collectBatch takes all queued writes. Writers whose flush has just completed tend to write again at once, so if the
// last batch was shared it yields to let them run first.
func (s *Store) collectBatch(first writeRequest) []writeRequest {
	batch := append(s.batch[:0], first)
	for idleRounds := 0; len(batch) < maxBatch; {
		select {
		case w := <-s.queue:
			batch = append(batch, w)
			idleRounds = 0
		default:
			if idleRounds++; idleRounds > 2 || s.lastBatch < 2 || len(batch) >= s.lastBatch {
				s.batch, s.lastBatch = batch, len(batch)
				return batch
			}
			runtime.Gosched()
		}
	}
	s.batch, s.lastBatch = batch, len(batch)
	return batch
}

// commitBatch applies a batch, flushes it, publishes the new snapshot and answers the writers.
func (s *Store) commitBatch(batch []writeRequest) {
	previous := s.snapshot.Load()
	next := *previous
	results := make([]writeResult, len(batch))
	var records []record
	var notify, onCommit []func()
	for i, w := range batch {
		m := newMutation(next)
		value, err := w.apply(m)
		results[i] = writeResult{value, err}
		if err != nil || len(m.records) == 0 {
			continue
		}
		next = m.snapshot
		next.index = m.commitIndex
		records = append(records, m.records...)
		notify = append(notify, m.notify...)
		onCommit = append(onCommit, m.onCommit...)
	}
	if len(records) > 0 {
		records = append(records, record{bucketMeta, metaIndexes, next.encodeIndexes()})
		if err := s.disk.save(records, previous.storedValue); err != nil {
			s.failBatch(batch, results, err)
			return
		}
		s.snapshot.Store(&next)
	}
	for _, f := range onCommit {
		f()
	}
	for i, w := range batch {
		w.done <- results[i]
	}
	for _, wake := range notify {
		wake()
	}
}

// failBatch answers a batch that could not be made durable. Every write fails, because even a result without changes
// may depend on an earlier write of the batch.
func (s *Store) failBatch(batch []writeRequest, results []writeResult, err error) {
	for i, w := range batch {
		if results[i].err == nil {
			results[i] = writeResult{nil, err}
		}
		w.done <- results[i]
	}
}
