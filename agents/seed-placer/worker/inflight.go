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

// How much of inputs and answers may be under way. What is smaller than smallBody is bounded by the number of connections.
const (
	smallBody       = 16 << 10
	firstRead       = 64 << 10 // of a larger body: more is asked for as it comes
	minInFlight     = 64 << 20
	defaultInFlight = 1 << 30 // of a node without a bound on memory
	inFlightDivisor = 8       // of the memory of seeds, this part comes on top for what is under way
)

// stallTimeout is how long a client may send nothing of a body, or take nothing of an answer.
const stallTimeout = 30 * time.Second

// defaultFiles is how many files a worker may have open, where it may have as many.
const defaultFiles = 8192

// byteLimiter counts the bytes of inputs and answers that are under way. One client may have half of them.
type byteLimiter struct {
	mu      sync.Mutex
	limit   int64
	used    int64
	clients map[string]int64
}

func newByteLimiter() *byteLimiter {
	return &byteLimiter{limit: minInFlight, clients: map[string]int64{}}
}

// inFlightLimit is how many bytes may be under way beside so much memory of seeds.
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

// reservation is what one request has under way. It must be released.
type reservation struct {
	*byteLimiter
	client string // its address, with the port
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

// errStalled is returned for a body that did not come in time.
var errStalled = errors.New("408 the body of the request did not come in time")

// readBody reads as much as a seed may get. What it holds, h counts.
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

// stallBody is a body of which something must come now and then.
type stallBody struct {
	io.ReadCloser
	link *http.ResponseController
}

// Read implements io.Reader. The deadline of the last read stays until the body has ended: it also bounds what the server
// reads of a body that nobody wanted.
func (b *stallBody) Read(p []byte) (int, error) {
	_ = b.link.SetReadDeadline(time.Now().Add(stallTimeout))
	n, err := b.ReadCloser.Read(p)
	if errors.Is(err, io.EOF) {
		_ = b.link.SetReadDeadline(time.Time{})
	}
	return n, err
}

// withStall bounds how long the body of a request may take. A connection that answers by itself has done so already.
func withStall(rw http.ResponseWriter, r *http.Request) {
	if _, quick := rw.(*fastResponse); quick || r.ContentLength == 0 || r.Body == nil {
		return
	}
	link := http.NewResponseController(rw)
	_ = link.SetReadDeadline(time.Now().Add(stallTimeout)) // also for a handler that never reads it
	r.Body = &stallBody{r.Body, link}
}

// precheck refuses a call before its body is read, where it is certain to be refused after that.
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

// reserveOutput counts a large answer until it was taken.
func reserveOutput(h *reservation, output []byte) error {
	if len(output) <= firstRead {
		return nil
	}
	return h.reserve(int64(len(output)))
}
