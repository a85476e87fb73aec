package agent

import (
	"fmt"
	"io"
	"sync"
	"time"
)

// Bounds of what waits to be written to the log.
const (
	maxQueued  = 1 << 20                // bytes; what comes on top is dropped
	flushLimit = 300 * time.Millisecond // for the rest, when the program ends
)

// logQueue writes to a log that its reader may have stopped reading: a full pipe must stop neither the agent nor its
// end. What finds no room is dropped and counted, and the count is written once there is room again. It is safe for use
// by many goroutines.
type logQueue struct {
	to      io.Writer
	dropped func(n int) []byte // the line that says so

	mu      sync.Mutex
	lines   [][]byte
	bytes   int
	lost    int
	writing bool          // a line is on its way
	news    chan struct{} // carries a value when there is something to write
	idle    *sync.Cond    // signalled when everything was written
}

func newLogQueue(to io.Writer, dropped func(n int) []byte) *logQueue {
	q := &logQueue{to: to, dropped: dropped, news: make(chan struct{}, 1)}
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
	case q.news <- struct{}{}:
	default:
	}
	return len(line), nil
}

func (q *logQueue) run() {
	for range q.news {
		for line := q.next(); line != nil; line = q.next() {
			_, _ = q.to.Write(line) // there is nobody to tell
		}
	}
}

// next returns what is to be written next, nil when nothing is. What was lost is told of after all that came before it.
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

// flush waits until everything is written, but not for long.
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

// droppedText says how many lines are missing.
func droppedText(n int) string {
	return fmt.Sprintf("%d lines of this log were dropped: nobody read it for a while", n)
}
