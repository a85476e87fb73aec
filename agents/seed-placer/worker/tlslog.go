package worker

import (
	"net"
	"strings"
	"sync"
	"time"

	"github.com/platypus-platform/platypus/agents/seed-placer/engine"
)

// Limits of the log of rejected TLS clients: once a minute for each client and reason, and a few clients at a time.
const (
	relogAfter = time.Minute
	maxLogged  = 16
)

// rejections remembers which rejections were logged, and when.
type rejections struct {
	mu     sync.Mutex
	logged map[string]time.Time
}

// shouldLog reports whether a rejection must be logged.
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

// Write implements io.Writer. Server errors about disconnected clients are debug lines. A rejected certificate is a
// warning, because the client may not see the alert.
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
