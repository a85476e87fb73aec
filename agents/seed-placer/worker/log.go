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

// logWriter writes log lines of seeds and of the worker for the agent.
type logWriter struct {
	mu  sync.Mutex
	out io.Writer

	rejections rejections
	lastRare   atomic.Int64 // Unix seconds of the last line by writeRarely
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

// writeRarely is write, at most once a second: for lines that callers could repeat without end.
func (l *logWriter) writeRarely(seed string, level int, text string) {
	now := time.Now().Unix()
	if before := l.lastRare.Load(); before != now && l.lastRare.CompareAndSwap(before, now) {
		l.write(seed, level, text)
	}
}

// stdLogger returns a logger for net/http.
func (l *logWriter) stdLogger() *log.Logger { return log.New(serverLog{l, &l.rejections}, "", 0) }

type serverLog struct {
	out        *logWriter
	rejections *rejections
}

// Log implements engine.Host.
func (w *Worker) Log(seed string, level int, line string) { w.log.write(seed, level, line) }
