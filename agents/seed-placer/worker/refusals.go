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
	refusalAgain = time.Minute
	maxRefusals  = 16
)

// refusals remembers of whom it was said that they were refused, and why.
type refusals struct {
	mu   sync.Mutex
	said map[string]time.Time
}

// news reports whether a refusal is worth a line.
func (r *refusals) news(who string, now time.Time) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	for other, at := range r.said {
		if now.Sub(at) > refusalAgain {
			delete(r.said, other)
		}
	}
	if _, known := r.said[who]; known || len(r.said) >= maxRefusals {
		return false
	}
	if r.said == nil {
		r.said = map[string]time.Time{}
	}
	r.said[who] = now
	return true
}

// Write implements io.Writer. What a server says of a client that went away is worth no line by default; that one was
// refused for its certificate is, for the client may not have heard it.
func (s serverLog) Write(p []byte) (int, error) {
	text, level := strings.TrimSpace(string(p)), 0
	if rest, is := strings.CutPrefix(text, "http: TLS handshake error from "); is {
		at, why, _ := strings.Cut(rest, ": ")
		host, _, err := net.SplitHostPort(at)
		if err == nil && strings.Contains(why, "tls: ") && s.refused.news(host+" "+why, time.Now()) {
			text, level = host+" is refused where only certificates are answered: "+why, engine.Warn
		}
	}
	s.to.say("-", level, text)
	return len(p), nil
}
