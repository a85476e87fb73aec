package agent

import (
	"fmt"
	"io"
	"sync"
	"time"
)

// Bounds of the log queue.
const (
	maxQueued  = 1 << 20                // bytes; further lines are dropped
	flushLimit = 300 * time.Millisecond // for the remaining lines, when the program ends
)

// logQueue writes to a log in the background: a full pipe must block neither the agent nor its exit. When the queue is
// full, lines are dropped and counted, and the count is logged once there is room. It is safe for concurrent use.
type logQueue struct {
	to      io.Writer
	dropped func(n int) []byte // the line that reports n dropped ones

	mu      sync.Mutex
	lines   [][]byte
	bytes   int
	lost    int
	writing bool          // a line is being written
	ready   chan struct{} // carries a value when there is something to write
	idle    *sync.Cond    // signalled when the queue is empty
}

func newLogQueue(to io.Writer, dropped func(n int) []byte) *logQueue {
	q := &logQueue{to: to, dropped: dropped, ready: make(chan struct{}, 1)}
	q.idle = sync.NewCond(&q.mu)
	go q.run()
	return q
}

// Write takes a line and returns at once.
func (q *logQueue) Write(line []byte) (int, error) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.bytes+len(line) > maxQueued {
		q.lost++
		return len(line), nil
	}
	q.lines = append(q.lines, append([]byte(nil), line...))
	q.bytes += len(line)
	select {
	case q.ready <- struct{}{}:
	default:
	}
	return len(line), nil
}

func (q *logQueue) run() {
	for range q.ready {
		for line := q.next(); line != nil; line = q.next() {
			_, _ = q.to.Write(line) // the error has nowhere to go
		}
	}
}

// next returns the next line, nil when there is none. The count of dropped lines follows the lines queued before them.
func (q *logQueue) next() (line []byte) {
	q.mu.Lock()
	defer q.mu.Unlock()
	switch {
	case len(q.lines) > 0:
		line, q.lines = q.lines[0], q.lines[1:]
		q.bytes -= len(line)
	case q.lost > 0:
		line, q.lost = q.dropped(q.lost), 0
	}
	if q.writing = line != nil; !q.writing {
		q.lines = nil
		q.idle.Broadcast()
	}
	return line
}

// flush waits until everything is written, for at most flushLimit.
func (q *logQueue) flush() {
	written := make(chan struct{})
	go func() {
		q.mu.Lock()
		defer q.mu.Unlock()
		for q.writing || len(q.lines) > 0 || q.lost > 0 {
			q.idle.Wait()
		}
		close(written)
	}()
	select {
	case <-written:
	case <-time.After(flushLimit):
	}
}

func droppedText(n int) string {
	return fmt.Sprintf("%d lines of this log were dropped: nobody read it for a while", n)
}
