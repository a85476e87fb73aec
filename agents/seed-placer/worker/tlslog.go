package worker

import (
	"net"
	"strings"
	"sync"
	"time"

	"github.com/platypus-platform/platypus/agents/seed-placer/engine"
)

// How often it is said that somebody was refused: a stranger who tries all day is one line a minute, and many strangers
// are no more than a few.
const (
	relogAfter = time.Minute
	maxLogged  = 16
)

// rejections remembers of whom it was said that they were refused, and why.
type rejections struct {
	mu     sync.Mutex
	logged map[string]time.Time
}

// shouldLog reports whether a refusal is worth a line.
func (r *rejections) shouldLog(who string, now time.Time) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	for other, at := range r.logged {
		if now.Sub(at) > relogAfter {
			delete(r.logged, other)
		}
	}
	if _, known := r.logged[who]; known || len(r.logged) >= maxLogged {
		return false
	}
	if r.logged == nil {
		r.logged = map[string]time.Time{}
	}
	r.logged[who] = now
	return true
}

// Write implements io.Writer. What a server says of a client that went away is worth no line by default; that one was
// refused for its certificate is, for the client may not have heard it.
func (s serverLog) Write(p []byte) (int, error) {
	text, level := strings.TrimSpace(string(p)), 0
	if rest, is := strings.CutPrefix(text, "http: TLS handshake error from "); is {
		at, why, _ := strings.Cut(rest, ": ")
		host, _, err := net.SplitHostPort(at)
		if err == nil && strings.Contains(why, "tls: ") && s.rejections.shouldLog(host+" "+why, time.Now()) {
			text, level = host+" is refused where only certificates are answered: "+why, engine.Warn
		}
	}
	s.out.write("-", level, text)
	return len(p), nil
}
