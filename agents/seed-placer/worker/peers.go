package worker

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/platypus-platform/platypus/agents/seed-placer/engine"
	"github.com/platypus-platform/platypus/agents/seed-placer/seal"
	"github.com/platypus-platform/platypus/agents/seed-placer/wire"
)

// How other nodes are called.
const (
	dialTimeout = 2 * time.Second
	ejectTime   = 2 * time.Second // how long an unreachable node is only a last resort
)

// peers are the other nodes and their load.
type peers struct {
	mu          sync.RWMutex
	routes      wire.Routes
	byAddress   map[string]*peer // by address
	client      atomic.Pointer[peerClient]
	warn        func(text string)
	retryBudget atomic.Int64 // budget of retries in tenths of a call: each call adds one, each retry takes ten
}

type peer struct {
	pending      atomic.Int64 // calls that wait for the peer
	load         atomic.Int64 // as the peer last reported it
	ejectedUntil atomic.Int64 // Unix milliseconds
	lastProblem  atomic.Pointer[string]
}

// peerClient is the HTTP client for other nodes and the TLS state that it uses.
type peerClient struct {
	tls    *tlsState
	client *http.Client
}

func newPeers(say func(text string)) *peers {
	return &peers{byAddress: map[string]*peer{}, warn: say}
}

// setTLS makes new connections use the state. Calls in progress are not affected.
func (p *peers) setTLS(now *tlsState) {
	previous := p.client.Load()
	if previous != nil && previous.tls == now {
		return
	}
	transport := &http.Transport{DialContext: (&net.Dialer{Timeout: dialTimeout}).DialContext, MaxIdleConnsPerHost: 64,
		IdleConnTimeout: time.Minute, DisableCompression: true, TLSClientConfig: now.client, TLSHandshakeTimeout: 2 * dialTimeout}
	p.client.Store(&peerClient{now, &http.Client{Transport: transport, CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}})
	if previous != nil {
		previous.client.CloseIdleConnections()
	}
}

func (p *peers) set(routes wire.Routes) {
	p.mu.Lock()
	defer p.mu.Unlock()
	known := map[string]*peer{}
	for _, all := range routes {
		for _, to := range all {
			if known[to.Address] = p.byAddress[to.Address]; known[to.Address] == nil {
				known[to.Address] = &peer{}
			}
		}
	}
	p.routes, p.byAddress = routes, known
}

func (p *peers) hasRoute(name string) bool {
	p.mu.RLock()
	defer p.mu.RUnlock()
	return len(p.routes[name]) > 0
}

// choice is a picked peer.
type choice struct {
	wire.Peer
	*peer
}

// pick returns the less loaded of two random peers, of this zone if possible.
func (p *peers) pick(name, zone, not string) (choice, bool) {
	p.mu.RLock()
	defer p.mu.RUnlock()
	now := time.Now().UnixMilli()
	var near, far, last []choice
	for _, to := range p.routes[name] {
		c := choice{to, p.byAddress[to.Address]}
		switch {
		case to.Address == not:
		case c.ejectedUntil.Load() > now:
			last = append(last, c)
		case to.Zone == zone:
			near = append(near, c)
		default:
			far = append(far, c)
		}
	}
	for _, of := range [][]choice{near, far, last} {
		if len(of) == 0 {
			continue
		}
		a, b := of[rand.IntN(len(of))], of[rand.IntN(len(of))]
		if b.pending.Load()+b.load.Load() < a.pending.Load()+a.load.Load() {
			a = b
		}
		return a, true
	}
	return choice{}, false
}

// call makes a call at another node, and retries at a second one if the first could not be reached or was overloaded.
// It clears the input, because a connection may still be sending it after the response.
func (p *peers) call(ctx context.Context, zone, name string, c *engine.Call) error {
	defer func() { c.Input = nil }()
	p.earnRetry()
	first, ok := p.pick(name, zone, "")
	if !ok {
		return &engine.Error{Code: engine.Unavailable, Text: "nobody has " + name + " ready", RetryAfter: retryAfter}
	}
	again, err := p.ask(ctx, first, name, c)
	if !again || time.Until(c.Deadline) <= 0 {
		return err
	}
	second, ok := p.pick(name, zone, first.Address)
	if !ok || !p.mayRetry(engine.AsError(err).Code == engine.Overloaded) {
		return err
	}
	_, err = p.ask(ctx, second, name, c)
	return err
}

// earnRetry adds a call to the retry budget.
func (p *peers) earnRetry() {
	if p.retryBudget.Load() < 100 {
		p.retryBudget.Add(1)
	}
}

// mayRetry takes a retry from the budget. It always allows one if the first node did not refuse for overload.
func (p *peers) mayRetry(refused bool) bool {
	if p.retryBudget.Add(-10) < 0 && refused {
		p.retryBudget.Add(10)
		return false
	}
	return true
}

// ask makes a call at one peer. retry is true only if the call certainly did not run there.
func (p *peers) ask(ctx context.Context, to choice, name string, c *engine.Call) (retry bool, err error) {
	ctx, cancel := context.WithDeadline(ctx, c.Deadline)
	defer cancel()
	path := "/call/" + url.PathEscape(name) + "/" + url.PathEscape(c.Function)
	client := p.client.Load()
	target, err := client.tls.identity.URL(to.Node, to.Address, path)
	if err != nil {
		return p.recordFailure(client, to, err)
	}
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, target, bytes.NewReader(c.Input))
	if err != nil {
		return false, &engine.Error{Code: engine.NotFound, Text: err.Error()}
	}
	setCallHeaders(request.Header, c)
	to.pending.Add(1)
	response, err := client.client.Do(request)
	to.pending.Add(-1)
	if err != nil {
		return p.recordFailure(client, to, err)
	}
	to.lastProblem.Store(nil)
	defer response.Body.Close()
	if n, err := strconv.ParseInt(response.Header.Get(headerLoad), 10, 32); err == nil {
		to.load.Store(n)
	}
	body, err := io.ReadAll(io.LimitReader(response.Body, engine.MaxOutput+1))
	switch {
	case err != nil:
		return false, engine.AsError(err)
	case len(body) > engine.MaxOutput:
		return false, &engine.Error{Code: engine.TooLarge, Text: fmt.Sprintf("reply of more than %d bytes", engine.MaxOutput)}
	case response.StatusCode == http.StatusOK:
		c.Output = body
		return false, nil
	}
	e := readError(response, body)
	return e.Code == engine.Overloaded || e.Code == engine.Unavailable, e
}

// setCallHeaders encodes the metadata of a call.
func setCallHeaders(h http.Header, c *engine.Call) {
	h.Set(headerDeadline, strconv.FormatInt(max(1, time.Until(c.Deadline).Milliseconds()), 10))
	h.Set(headerHop, "1")
	if len(c.Meta.Chain) > 0 {
		h.Set(headerChain, strings.Join(c.Meta.Chain, ","))
	}
	if c.Meta.Request != "" {
		h.Set(headerRequest, c.Meta.Request)
	}
}

// recordFailure ejects a peer that did not answer. A call whose connection or TLS handshake failed did not run.
func (p *peers) recordFailure(l *peerClient, c choice, err error) (retry bool, _ error) {
	var certErr *seal.CertError
	if !errors.As(err, &certErr) {
		certErr = l.tls.identity.Explain(err, c.Node, c.Address)
	}
	var dial *net.OpError
	retry = errors.As(err, &dial) && (dial.Op == "dial" || certErr != nil && dial.Op == "remote error")
	if certErr == nil && (errors.Is(err, context.DeadlineExceeded) || errors.Is(err, context.Canceled)) {
		return false, engine.AsError(err)
	}
	c.ejectedUntil.Store(time.Now().Add(ejectTime).UnixMilli())
	if certErr == nil {
		return retry, &engine.Error{Code: engine.Unavailable, Text: fmt.Sprintf("%s does not answer", c.Node), RetryAfter: retryAfter}
	}
	text := certErr.Error()
	if before := c.lastProblem.Swap(&text); before == nil || *before != text {
		p.warn(text)
	}
	return retry || !errors.Is(err, syscall.ECONNRESET) && !errors.Is(err, syscall.EPIPE), &engine.Error{Code: engine.Unavailable, Text: text, RetryAfter: retryAfter}
}

// readError decodes an error response of a worker.
func readError(response *http.Response, body []byte) *engine.Error {
	var content struct {
		Error string `json:"error"`
		After int64  `json:"retry_after_ms"`
	}
	if json.Unmarshal(body, &content) != nil || response.Header.Get(headerError) == "" {
		return &engine.Error{Code: engine.Unavailable, Text: "the other node answered " + response.Status}
	}
	return &engine.Error{Code: engine.CodeOf(response.Header.Get(headerError)), Text: content.Error, RetryAfter: time.Duration(content.After) * time.Millisecond}
}
