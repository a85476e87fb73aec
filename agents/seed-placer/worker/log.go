package worker

import (
	"fmt"
	"io"
	"log"
	"strings"
	"sync"
	"sync/atomic"
	"time"
)

// logWriter writes what seeds and the worker say, a line each, for the agent to put into its log.
type logWriter struct {
	mu  sync.Mutex
	out io.Writer

	rejections rejections
	lastRare   atomic.Int64 // when something was said that calls could repeat without end, in Unix seconds
}

func (l *logWriter) write(seed string, level int, text string) {
	text = strings.Map(func(r rune) rune {
		if r < ' ' || r == 0x7f {
			return ' '
		}
		return r
	}, text)
	l.mu.Lock()
	defer l.mu.Unlock()
	fmt.Fprintf(l.out, "%d %s %s\n", min(max(level, 0), 3), seed, text)
}

// writeRarely is say, once a second at most.
func (l *logWriter) writeRarely(seed string, level int, text string) {
	now := time.Now().Unix()
	if before := l.lastRare.Load(); before != now && l.lastRare.CompareAndSwap(before, now) {
		l.write(seed, level, text)
	}
}

// stdLogger is a logger for who wants one.
func (l *logWriter) stdLogger() *log.Logger { return log.New(serverLog{l, &l.rejections}, "", 0) }

type serverLog struct {
	out        *logWriter
	rejections *rejections
}

// Log implements engine.Outside.
func (w *Worker) Log(seed string, level int, line string) { w.log.write(seed, level, line) }
