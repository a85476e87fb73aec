package worker

import (
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"sync"
	"time"

	"github.com/platypus-platform/platypus/agents/seed-placer/engine"
)

// Limits of the inputs and outputs in progress. Bodies below smallBody are limited by the number of connections only.
const (
	smallBody       = 16 << 10
	firstRead       = 64 << 10 // of a larger body: more is reserved as it arrives
	minInFlight     = 64 << 20
	defaultInFlight = 1 << 30 // for a node without a memory limit
	inFlightDivisor = 8       // divides the memory of seeds; the result is allowed in addition
)

// stallTimeout is how long a client may neither send a part of a body nor read a part of a response.
const stallTimeout = 30 * time.Second

// defaultFiles is the limit of open files of a worker, if the system allows it.
const defaultFiles = 8192

// byteLimiter limits the bytes of inputs and outputs in progress. One client may use half of them.
type byteLimiter struct {
	mu      sync.Mutex
	limit   int64
	used    int64
	clients map[string]int64
}

func newByteLimiter() *byteLimiter {
	return &byteLimiter{limit: minInFlight, clients: map[string]int64{}}
}

// inFlightLimit returns the bytes that may be in progress beside the memory of seeds.
func inFlightLimit(memory int64) int64 {
	if memory == 0 {
		return defaultInFlight
	}
	return max(minInFlight, memory/inFlightDivisor)
}

func (f *byteLimiter) setLimit(most int64) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.limit = most
}

var errInFlight = &engine.Error{Code: engine.Overloaded, Text: "this node has too many bytes of requests and answers under way", RetryAfter: retryAfter}

func (f *byteLimiter) reserve(client string, n int64) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.used+n > f.limit || f.clients[client]+n > f.limit/2 {
		return errInFlight
	}
	f.used += n
	f.clients[client] += n
	return nil
}

func (f *byteLimiter) unreserve(client string, n int64) {
	if n == 0 {
		return
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	f.used -= n
	if f.clients[client] -= n; f.clients[client] == 0 {
		delete(f.clients, client)
	}
}

// reservation is what one request has reserved. It must be released.
type reservation struct {
	*byteLimiter
	client string // address, at first with the port
	bytes  int64
}

func (h *reservation) reserve(n int64) error {
	if host, _, err := net.SplitHostPort(h.client); err == nil {
		h.client = host
	}
	err := h.byteLimiter.reserve(h.client, n)
	if err == nil {
		h.bytes += n
	}
	return err
}

func (h *reservation) release() { h.unreserve(h.client, h.bytes) }

// errStalled is returned for a body that stalls.
var errStalled = errors.New("408 the body of the request did not come in time")

// readBody reads a body up to the input limit, and reserves its memory in h.
func readBody(r *http.Request, h *reservation) ([]byte, error) {
	tooLarge := &engine.Error{Code: engine.TooLarge, Text: fmt.Sprintf("input of more than %d bytes", engine.MaxInput)}
	size := r.ContentLength
	switch {
	case size > engine.MaxInput:
		return nil, tooLarge
	case size == 0:
		return nil, nil
	case size > 0 && size <= smallBody:
		data := getBuffer(int(size))
		_, err := io.ReadFull(r.Body, data)
		return data, bodyError(err)
	case size > 0 && size <= maxPooled:
		if err := h.reserve(size); err != nil {
			return nil, err
		}
		data := getBuffer(int(size))
		_, err := io.ReadFull(r.Body, data)
		return data, bodyError(err)
	case size < 0:
		size = engine.MaxInput + 1
	}
	data := []byte(nil)
	for int64(len(data)) < size {
		room := min(max(firstRead, 2*int64(cap(data))), size)
		if err := h.reserve(room - int64(cap(data))); err != nil {
			return nil, err
		}
		larger := make([]byte, room)
		n := copy(larger, data)
		m, err := io.ReadFull(r.Body, larger[n:])
		data = larger[:n+m]
		if r.ContentLength < 0 && (errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF)) {
			return data, nil
		}
		if err != nil {
			return nil, bodyError(err)
		}
	}
	if r.ContentLength < 0 {
		return nil, tooLarge
	}
	return data, nil
}

func bodyError(err error) error {
	if errors.Is(err, os.ErrDeadlineExceeded) {
		return errStalled
	}
	return err
}

// stallBody is a body with a deadline that each read extends.
type stallBody struct {
	io.ReadCloser
	link *http.ResponseController
}

// Read implements io.Reader. The deadline stays set until the end of the body: it also limits how long the server
// reads an unused body.
func (b *stallBody) Read(p []byte) (int, error) {
	_ = b.link.SetReadDeadline(time.Now().Add(stallTimeout))
	n, err := b.ReadCloser.Read(p)
	if errors.Is(err, io.EOF) {
		_ = b.link.SetReadDeadline(time.Time{})
	}
	return n, err
}

// withStall makes a body time out when it stalls. A fastConn has set a deadline itself.
func withStall(rw http.ResponseWriter, r *http.Request) {
	if _, quick := rw.(*fastResponse); quick || r.ContentLength == 0 || r.Body == nil {
		return
	}
	link := http.NewResponseController(rw)
	_ = link.SetReadDeadline(time.Now().Add(stallTimeout)) // also for a handler that never reads the body
	r.Body = &stallBody{r.Body, link}
}

// precheck rejects a call before its body is read, if it would certainly be rejected afterwards.
func (w *Worker) precheck(r *http.Request, name string) error {
	if r.ContentLength >= 0 && r.ContentLength <= smallBody || w.peers.hasRoute(name) {
		return nil
	}
	running := w.loadedSeed(name)
	if running == nil {
		return w.unavailable(name)
	}
	if _, waiting, _ := running.limiter.Counts(); waiting >= running.Queue {
		return &engine.Error{Code: engine.Overloaded, Text: name + " has too much to do", RetryAfter: retryAfter}
	}
	return nil
}

// reserveOutput reserves the memory of a large output until it has been sent.
func reserveOutput(h *reservation, output []byte) error {
	if len(output) <= firstRead {
		return nil
	}
	return h.reserve(int64(len(output)))
}
