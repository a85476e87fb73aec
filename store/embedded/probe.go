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
	defaultTimeout = 10 * time.Second
	maxOutput      = 4 << 10 // bytes of an answer that a check keeps
	critWatch      = time.Second
)

// probes runs one goroutine for each check, for as long as the check is registered.
type probes struct {
	store   *Store
	mu      sync.Mutex
	running map[string]*running
	all     sync.WaitGroup
	closed  bool
}

type running struct {
	stop  context.CancelFunc
	heard chan struct{} // A client vouched for a check with a TTL.
}

func (p *probes) init(s *Store) { p.store, p.running = s, map[string]*running{} }

// start runs a check, in place of the one of the same ID that may run already.
func (p *probes) start(c *check) {
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
	r := &running{stop, make(chan struct{}, 1)}
	p.running[c.CheckID] = r
	w := &watcher{store: p.store, check: c, heard: r.heard}
	p.all.Go(func() { w.run(ctx) })
}

func (p *probes) heard(id string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if r := p.running[id]; r != nil {
		select {
		case r.heard <- struct{}{}:
		default:
		}
	}
}

func (p *probes) forget(id string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if r := p.running[id]; r != nil {
		r.stop()
		delete(p.running, id)
	}
}

func (p *probes) stop() {
	p.mu.Lock()
	p.closed = true
	for _, r := range p.running {
		r.stop()
	}
	p.mu.Unlock()
	p.all.Wait()
}

// watcher is one running check: the results in a row so far, and since when it has been critical.
type watcher struct {
	store     *Store
	check     *check
	heard     chan struct{}
	good, bad int
	since     time.Time
}

func (w *watcher) run(ctx context.Context) {
	defer func() { _ = recover() }() // A panic in a client library must not take the store with it.
	p := w.check.Probe
	every := p.Interval
	if every <= 0 {
		every = p.TTL
	}
	next, reaper := time.NewTimer(every), time.NewTicker(critWatch)
	defer next.Stop()
	defer reaper.Stop()
	if p.TTL == 0 {
		next.Reset(0)
	}
	for {
		select {
		case <-ctx.Done():
			return
		case <-w.heard:
			next.Reset(every)
		case <-next.C:
			w.once(ctx)
			next.Reset(every)
		case <-reaper.C:
			w.reap(ctx)
		}
	}
}

// once finds out the state now and records it.
func (w *watcher) once(ctx context.Context) {
	p := w.check.Probe
	state, output := critical, "TTL expired"
	switch {
	case p.HTTP != "":
		state, output = p.askHTTP(ctx)
	case p.TCP != "":
		state, output = p.askTCP(ctx)
	}
	if ctx.Err() != nil {
		return
	}
	if state, settled := w.settle(state); settled {
		w.record(ctx, state, output)
	}
}

// settle reports the state to show after one more result, if there have been enough of its kind in a row.
func (w *watcher) settle(state string) (string, bool) {
	p := w.check.Probe
	if state != critical {
		w.good, w.bad = w.good+1, 0
		return state, w.good > p.Successes || p.Successes == 0
	}
	w.good, w.bad = 0, w.bad+1
	switch {
	case p.TTL > 0 || w.bad > p.Failures || p.Failures == 0:
		return critical, true
	case w.bad > p.Warnings:
		return warning, true
	}
	return "", false
}

// record keeps what was found. What the disk refuses is found again at the next turn.
func (w *watcher) record(ctx context.Context, state, output string) {
	_, _ = w.store.propose(ctx, func(x *change) (any, error) {
		return nil, w.store.setState(x, w.check.CheckID, state, output)
	})
}

// reap deregisters the service once it has been critical for too long.
func (w *watcher) reap(ctx context.Context) {
	limit := w.check.Probe.DeregisterAfter
	now, found := w.store.view.Load().checks.Get([]byte(w.check.CheckID))
	if limit <= 0 || !found || now.Status != critical || now.ServiceID == "" {
		w.since = time.Time{}
		return
	}
	if w.since.IsZero() {
		w.since = time.Now()
	}
	if time.Since(w.since) >= limit {
		_, _ = w.store.propose(ctx, func(x *change) (any, error) {
			w.store.deregister(x, now.ServiceID)
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

func (p *probe) askTCP(ctx context.Context) (string, string) {
	dialer := net.Dialer{Timeout: p.timeout()}
	conn, err := dialer.DialContext(ctx, "tcp", p.TCP)
	if err != nil {
		return critical, err.Error()
	}
	conn.Close()
	return passing, fmt.Sprintf("TCP connect %s: Success", p.TCP)
}

// askHTTP asks once: 2xx is passing, 429 a warning, all else critical.
func (p *probe) askHTTP(ctx context.Context) (string, string) {
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
