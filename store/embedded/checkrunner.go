package embedded

import (
	"bytes"
	"context"
	"crypto/tls"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"sync"
	"time"
)

const (
	defaultTimeout     = 10 * time.Second
	maxOutput          = 4 << 10 // bytes of a response to keep as output
	deregisterInterval = time.Second
)

// checkRunner runs one goroutine per registered check.
type checkRunner struct {
	store   *Store
	mu      sync.Mutex
	running map[string]*runningCheck
	loops   sync.WaitGroup
	closed  bool
}

type runningCheck struct {
	stop       context.CancelFunc
	ttlUpdated chan struct{} // a client updated a TTL check
}

func (p *checkRunner) init(s *Store) { p.store, p.running = s, map[string]*runningCheck{} }

// start runs a check and replaces a running one with the same ID.
func (p *checkRunner) start(c *check) {
	if c.Probe == nil {
		return
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.closed {
		return
	}
	if old := p.running[c.CheckID]; old != nil {
		old.stop()
	}
	ctx, stop := context.WithCancel(context.Background())
	r := &runningCheck{stop, make(chan struct{}, 1)}
	p.running[c.CheckID] = r
	w := &checkLoop{store: p.store, check: c, ttlUpdated: r.ttlUpdated}
	p.loops.Go(func() { w.run(ctx) })
}

func (p *checkRunner) resetTTL(id string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if r := p.running[id]; r != nil {
		select {
		case r.ttlUpdated <- struct{}{}:
		default:
		}
	}
}

func (p *checkRunner) remove(id string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if r := p.running[id]; r != nil {
		r.stop()
		delete(p.running, id)
	}
}

func (p *checkRunner) stop() {
	p.mu.Lock()
	p.closed = true
	for _, r := range p.running {
		r.stop()
	}
	p.mu.Unlock()
	p.loops.Wait()
}

// checkLoop is the state of one running check.
type checkLoop struct {
	store               *Store
	check               *check
	ttlUpdated          chan struct{}
	successes, failures int
	criticalSince       time.Time
}

func (w *checkLoop) run(ctx context.Context) {
	defer func() { _ = recover() }() // A panic in a client library must not crash the store.
	p := w.check.Probe
	interval := p.Interval
	if interval <= 0 {
		interval = p.TTL
	}
	next, deregister := time.NewTimer(interval), time.NewTicker(deregisterInterval)
	defer next.Stop()
	defer deregister.Stop()
	if p.TTL == 0 {
		next.Reset(0)
	}
	for {
		select {
		case <-ctx.Done():
			return
		case <-w.ttlUpdated:
			next.Reset(interval)
		case <-next.C:
			w.runOnce(ctx)
			next.Reset(interval)
		case <-deregister.C:
			w.deregisterIfCritical(ctx)
		}
	}
}

// runOnce runs the check and records the state.
func (w *checkLoop) runOnce(ctx context.Context) {
	p := w.check.Probe
	state, output := critical, "TTL expired"
	switch {
	case p.HTTP != "":
		state, output = p.runHTTP(ctx)
	case p.TCP != "":
		state, output = p.runTCP(ctx)
	}
	if ctx.Err() != nil {
		return
	}
	if state, changed := w.debounce(state); changed {
		w.record(ctx, state, output)
	}
}

// debounce counts one more result and returns the state to report, false while there are too few equal results.
func (w *checkLoop) debounce(state string) (string, bool) {
	p := w.check.Probe
	if state != critical {
		w.successes, w.failures = w.successes+1, 0
		return state, w.successes > p.Successes || p.Successes == 0
	}
	w.successes, w.failures = 0, w.failures+1
	switch {
	case p.TTL > 0 || w.failures > p.Failures || p.Failures == 0:
		return critical, true
	case w.failures > p.Warnings:
		return warning, true
	}
	return "", false
}

// record stores a result. If the disk rejects it, the next run records it again.
func (w *checkLoop) record(ctx context.Context, state, output string) {
	_, _ = w.store.submit(ctx, func(m *mutation) (any, error) {
		return nil, w.store.setCheckState(m, w.check.CheckID, state, output)
	})
}

// deregisterIfCritical deregisters the service once it has been critical for longer than its limit.
func (w *checkLoop) deregisterIfCritical(ctx context.Context) {
	limit := w.check.Probe.DeregisterAfter
	current, found := w.store.snapshot.Load().checks.Get([]byte(w.check.CheckID))
	if limit <= 0 || !found || current.Status != critical || current.ServiceID == "" {
		w.criticalSince = time.Time{}
		return
	}
	if w.criticalSince.IsZero() {
		w.criticalSince = time.Now()
	}
	if time.Since(w.criticalSince) >= limit {
		_, _ = w.store.submit(ctx, func(m *mutation) (any, error) {
			w.store.deregister(m, current.ServiceID)
			return nil, nil
		})
	}
}

func (p *probe) timeout() time.Duration {
	if p.Timeout > 0 {
		return p.Timeout
	}
	return defaultTimeout
}

func (p *probe) runTCP(ctx context.Context) (string, string) {
	dialer := net.Dialer{Timeout: p.timeout()}
	conn, err := dialer.DialContext(ctx, "tcp", p.TCP)
	if err != nil {
		return critical, err.Error()
	}
	conn.Close()
	return passing, fmt.Sprintf("TCP connect %s: Success", p.TCP)
}

// runHTTP sends one request: 2xx is passing, 429 is warning, everything else is critical.
func (p *probe) runHTTP(ctx context.Context) (string, string) {
	ctx, cancel := context.WithTimeout(ctx, p.timeout())
	defer cancel()
	method := p.Request.Method
	if method == "" {
		method = http.MethodGet
	}
	r, err := http.NewRequestWithContext(ctx, method, p.HTTP, bytes.NewBufferString(p.Request.Body))
	if err != nil {
		return critical, err.Error()
	}
	for name, values := range p.Request.Header {
		r.Header[http.CanonicalHeaderKey(name)] = values
	}
	if host := r.Header.Get("Host"); host != "" {
		r.Host = host
	}
	transport := &http.Transport{DisableKeepAlives: true, TLSClientConfig: &tls.Config{InsecureSkipVerify: p.Request.TLSSkipVerify}}
	answer, err := (&http.Client{Transport: transport}).Do(r)
	if err != nil {
		return critical, err.Error()
	}
	defer answer.Body.Close()
	body, _ := io.ReadAll(io.LimitReader(answer.Body, maxOutput))
	output := fmt.Sprintf("HTTP %s %s: %s Output: %s", method, p.HTTP, answer.Status, strings.ToValidUTF8(string(body), "?"))
	switch {
	case answer.StatusCode >= 200 && answer.StatusCode < 300:
		return passing, output
	case answer.StatusCode == http.StatusTooManyRequests:
		return warning, output
	}
	return critical, output
}
