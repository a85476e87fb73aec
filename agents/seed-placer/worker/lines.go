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

// lines writes what seeds and the worker say, a line each, for the agent to put into its log.
type lines struct {
	mu  sync.Mutex
	out io.Writer

	refused  refusals
	seldomAt atomic.Int64 // when something was said that calls could repeat without end, in Unix seconds
}

func (l *lines) say(seed string, level int, text string) {
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

// seldom is say, once a second at most.
func (l *lines) seldom(seed string, level int, text string) {
	now := time.Now().Unix()
	if before := l.seldomAt.Load(); before != now && l.seldomAt.CompareAndSwap(before, now) {
		l.say(seed, level, text)
	}
}

// standard is a logger for who wants one.
func (l *lines) standard() *log.Logger { return log.New(serverLog{l, &l.refused}, "", 0) }

type serverLog struct {
	to      *lines
	refused *refusals
}

// Log implements engine.Outside.
func (w *Worker) Log(seed string, level int, line string) { w.log.say(seed, level, line) }
