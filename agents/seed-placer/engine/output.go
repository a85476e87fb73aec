package engine

import (
	"bytes"
	"errors"
	"fmt"
	"sync"
	"time"
)

var errOutputLimit = errors.New("too much output")

// limitedBuffer fails writes beyond its limit.
type limitedBuffer struct {
	buffer   []byte
	limit    int
	exceeded bool
}

// Write implements io.Writer.
func (c *limitedBuffer) Write(p []byte) (int, error) {
	if len(c.buffer)+len(p) > c.limit {
		c.exceeded = true
		return 0, errOutputLimit
	}
	c.buffer = append(c.buffer, p...)
	return len(p), nil
}

// logLimit limits the log of a seed in bytes per second, and counts what was dropped.
type logLimit struct {
	mu      sync.Mutex
	limit   int
	left    int
	until   time.Time
	dropped int
}

func newLogLimit(most int) *logLimit { return &logLimit{limit: most} }

// take reports whether n bytes may be logged, and how many were dropped before.
func (l *logLimit) take(n int) (ok bool, dropped int) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if now := time.Now(); now.After(l.until) {
		l.left, l.until = l.limit, now.Add(time.Second)
	}
	if n > l.left {
		l.dropped += n
		return false, 0
	}
	l.left -= n
	dropped, l.dropped = l.dropped, 0
	return true, dropped
}

// writeLog logs a line of the seed within its limit.
func (s *Seed) writeLog(level int, line []byte) {
	line = bytes.TrimRight(line, "\r\n")
	if len(line) == 0 {
		return
	}
	line = line[:min(len(line), maxLine)]
	ok, dropped := s.log.take(len(line))
	if dropped > 0 {
		s.host.Log(s.Name, Warn, fmt.Sprintf("%d bytes of its log were left out: it says more than %d a second", dropped, maxLog))
	}
	if ok {
		s.host.Log(s.Name, level, string(line))
	}
}

// Log logs a line about the seed.
func (s *Seed) Log(level int, line string) { s.host.Log(s.Name, level, line) }

// maxLine limits a log line, in bytes.
const maxLine = 4 << 10

// The log levels that seeds use.
const (
	Debug = iota
	Info
	Warn
	Severe
)

// lineWriter logs a seed's standard error line by line.
type lineWriter struct {
	seed    *Seed
	partial []byte
}

func (s *Seed) lineWriter() *lineWriter { return &lineWriter{seed: s} }

// Write implements io.Writer.
func (w *lineWriter) Write(p []byte) (int, error) {
	for rest := p; len(rest) > 0; {
		line, after, whole := bytes.Cut(rest, []byte("\n"))
		if room := maxLine - len(w.partial); room > 0 {
			w.partial = append(w.partial, line[:min(len(line), room)]...)
		}
		if rest = after; whole {
			w.flush()
		}
	}
	return len(p), nil
}

func (w *lineWriter) flush() {
	w.seed.writeLog(Info, w.partial)
	w.partial = w.partial[:0]
}
