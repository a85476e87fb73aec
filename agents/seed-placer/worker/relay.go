package worker

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net/http"
	"net/http/httputil"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/platypus-platform/platypus/agents/seed-placer/engine"
	"github.com/platypus-platform/platypus/agents/seed-placer/wire"
)

// relay forwards an HTTP request to another node as it is. If the first node is unreachable or rejects it, a second
// one is asked, provided that the body is still complete.
type relay struct {
	peers    *peers
	pick     func(not string) (choice, bool)
	body     []byte // of the request, if it was read
	bodyRead bool   // body holds the whole body
}

// forward relays a request to a node that has the seed, and streams its body.
func (w *Worker) forward(rw http.ResponseWriter, r *http.Request, name string) {
	if r.Header.Get(headerHop) != "" || !w.peers.hasRoute(name) {
		sendError(rw, w.unavailable(name))
		return
	}
	w.relayTo(rw, r, &relay{peers: w.peers, pick: w.picker(name)})
}

// relaySeed relays a request whose body was read into c, within the deadline of c.
func (w *Worker) relaySeed(rw http.ResponseWriter, r *http.Request, name string, c *engine.Call) {
	ctx, cancel := context.WithDeadline(r.Context(), c.Deadline)
	defer cancel()
	r = r.WithContext(ctx)
	r.Header.Set(headerDeadline, strconv.FormatInt(max(1, time.Until(c.Deadline).Milliseconds()), 10))
	w.relayTo(rw, r, &relay{peers: w.peers, pick: w.picker(name), body: c.Input, bodyRead: true})
}

func (w *Worker) picker(name string) func(not string) (choice, bool) {
	zone := w.zone()
	return func(not string) (choice, bool) { return w.peers.pick(name, zone, not) }
}

func (w *Worker) relayTo(rw http.ResponseWriter, r *http.Request, to *relay) {
	proxy := to.proxy()
	proxy.ErrorLog = w.log.stdLogger()
	proxy.ServeHTTP(rw, r)
}

func (t *relay) proxy() *httputil.ReverseProxy {
	return &httputil.ReverseProxy{
		Transport: t,
		Rewrite: func(p *httputil.ProxyRequest) {
			p.Out.URL.Scheme, p.Out.URL.Host, p.Out.Host = "http", "node", p.In.Host
			p.Out.Header.Set(headerHop, "1")
			p.Out.Header.Set(headerClient, clientAddress(p.In))
			for _, name := range []string{"Forwarded", "X-Forwarded-For", "X-Forwarded-Host", "X-Forwarded-Proto"} {
				if values := p.In.Header[name]; len(values) > 0 { // keep what the client sent
					p.Out.Header[name] = values
				}
			}
		},
		ErrorHandler: func(rw http.ResponseWriter, _ *http.Request, err error) { sendError(rw, err) },
	}
}

// RoundTrip implements http.RoundTripper.
func (t *relay) RoundTrip(r *http.Request) (*http.Response, error) {
	t.peers.earnRetry()
	first, ok := t.pick("")
	if !ok {
		return nil, &engine.Error{Code: engine.Unavailable, Text: "no other node has it ready", RetryAfter: retryAfter}
	}
	whole := t.bodyRead || r.Body == nil || r.Body == http.NoBody
	response, again, err := t.ask(r, first)
	if !again || !whole || r.Context().Err() != nil {
		return response, err
	}
	second, ok := t.pick(first.Address)
	if !ok || !t.peers.mayRetry(err == nil) {
		return response, err
	}
	if response != nil {
		response.Body.Close()
	}
	response, _, err = t.ask(r, second)
	return response, err
}

// ask sends the request to one node. retry is true only if the request certainly did not run there.
func (t *relay) ask(r *http.Request, to choice) (response *http.Response, retry bool, err error) {
	client := t.peers.client.Load()
	target, err := client.tls.identity.URL(to.Node, to.Address, "")
	if err != nil {
		retry, err = t.peers.recordFailure(client, to, err)
		return nil, retry, err
	}
	r = r.Clone(r.Context())
	r.URL.Scheme, r.URL.Host, _ = strings.Cut(target, "://")
	if t.bodyRead {
		r.Body, r.ContentLength = io.NopCloser(bytes.NewReader(t.body)), int64(len(t.body))
		r.TransferEncoding = nil
		if len(t.body) == 0 {
			r.Body = http.NoBody
		}
	}
	to.pending.Add(1)
	response, err = client.client.Transport.RoundTrip(r)
	to.pending.Add(-1)
	if err != nil {
		retry, err = t.peers.recordFailure(client, to, err)
		return nil, retry, err
	}
	to.lastProblem.Store(nil)
	refused := response.StatusCode == http.StatusTooManyRequests || response.StatusCode == http.StatusServiceUnavailable
	return response, refused && response.Header.Get(headerError) != "", nil
}

// choices returns the peers of a list with their state.
func (p *peers) choices(list []wire.Peer) (choices []choice) {
	p.mu.RLock()
	defer p.mu.RUnlock()
	for _, to := range list {
		known := p.byAddress[to.Address]
		if known == nil {
			known = &peer{}
		}
		choices = append(choices, choice{to, known})
	}
	return choices
}

// sendSite relays a request for a site whose manifest is not here, and reports whether there was a peer to ask.
func (p *peers) sendSite(rw http.ResponseWriter, r *http.Request, from []wire.Peer) bool {
	if p == nil || len(from) == 0 || len(r.Header[headerHop]) > 0 {
		return false
	}
	choices := p.choices(from)
	t := &relay{peers: p, pick: func(not string) (choice, bool) {
		i := slices.IndexFunc(choices, func(c choice) bool { return c.Address != not })
		if i < 0 {
			return choice{}, false
		}
		return choices[i], true
	}}
	t.proxy().ServeHTTP(rw, r)
	return true
}

// blobTimeout is how long a node may take to start sending a blob.
const blobTimeout = 10 * time.Second

// sendBlob relays a blob from another node with the headers already set in rw, and reports whether one had it.
func (p *peers) sendBlob(rw http.ResponseWriter, r *http.Request, from []wire.Peer, digest string) bool {
	if p == nil || len(r.Header[headerHop]) > 0 {
		return false
	}
	for _, to := range p.choices(from) {
		ctx, cancel := context.WithCancel(r.Context())
		late := time.AfterFunc(blobTimeout, cancel)
		response, err := p.askBlob(ctx, r, to, digest)
		if late.Stop(); err == nil {
			copyBlob(rw, response)
		}
		cancel()
		if err == nil {
			return true
		}
	}
	return false
}

// errNoBlob is returned when a node does not have the blob.
var errNoBlob = errors.New("the node does not have the blob")

func (p *peers) askBlob(ctx context.Context, r *http.Request, to choice, digest string) (*http.Response, error) {
	client := p.client.Load()
	target, err := client.tls.identity.URL(to.Node, to.Address, "/blob/"+digest)
	if err != nil {
		return nil, err
	}
	request, err := http.NewRequestWithContext(ctx, r.Method, target, nil)
	if err != nil {
		return nil, err
	}
	for _, name := range []string{"Range", "If-Range", "If-Match", "If-None-Match"} {
		if value := r.Header.Get(name); value != "" && !strings.Contains(value, ",") {
			request.Header.Set(name, value)
		}
	}
	response, err := client.client.Do(request)
	if err != nil {
		_, err = p.recordFailure(client, to, err)
		return nil, err
	}
	switch response.StatusCode {
	case http.StatusOK, http.StatusPartialContent, http.StatusNotModified, http.StatusPreconditionFailed, http.StatusRequestedRangeNotSatisfiable:
		return response, nil
	}
	response.Body.Close()
	return nil, errNoBlob
}

func copyBlob(rw http.ResponseWriter, response *http.Response) {
	defer response.Body.Close()
	h := rw.Header()
	for _, name := range []string{"Content-Length", "Content-Range", "Accept-Ranges"} {
		if values := response.Header[name]; len(values) > 0 {
			h[name] = values
		}
	}
	if response.StatusCode == http.StatusNotModified {
		h.Del("Content-Type")
	}
	rw.WriteHeader(response.StatusCode)
	_, _ = io.Copy(rw, response.Body)
}
