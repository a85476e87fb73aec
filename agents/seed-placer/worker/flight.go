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
	smallBody   = 16 << 10
	firstRead   = 64 << 10 // of a larger body: more is asked for as it comes
	leastFlight = 64 << 20
	freeFlight  = 1 << 30 // of a node without a bound on memory
	flightPart  = 8       // of the memory of seeds, this part comes on top for what is under way
)

// stall is how long a client may send nothing of a body, or take nothing of an answer.
const stall = 30 * time.Second

// defaultFiles is how many files a worker may have open, where it may have as many.
const defaultFiles = 8192

// flight counts the bytes of inputs and answers that are under way. One client may have half of them.
type flight struct {
	mu      sync.Mutex
	most    int64
	used    int64
	clients map[string]int64
}

func newFlight() *flight { return &flight{most: leastFlight, clients: map[string]int64{}} }

// flightOf is how many bytes may be under way beside so much memory of seeds.
func flightOf(memory int64) int64 {
	if memory == 0 {
		return freeFlight
	}
	return max(leastFlight, memory/flightPart)
}

func (f *flight) set(most int64) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.most = most
}

var errFlight = &engine.Error{Code: engine.Overloaded, Text: "this node has too many bytes of requests and answers under way", RetryAfter: overloadedFor}

func (f *flight) take(client string, n int64) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.used+n > f.most || f.clients[client]+n > f.most/2 {
		return errFlight
	}
	f.used += n
	f.clients[client] += n
	return nil
}

func (f *flight) give(client string, n int64) {
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

// held is what one request has under way. It must be released.
type held struct {
	*flight
	client string // its address, with the port
	bytes  int64
}

func (h *held) take(n int64) error {
	if host, _, err := net.SplitHostPort(h.client); err == nil {
		h.client = host
	}
	err := h.flight.take(h.client, n)
	if err == nil {
		h.bytes += n
	}
	return err
}

func (h *held) release() { h.give(h.client, h.bytes) }

// errStalled is returned for a body that did not come in time.
var errStalled = errors.New("408 the body of the request did not come in time")

// readBody reads as much as a seed may get. What it holds, h counts.
func readBody(r *http.Request, h *held) ([]byte, error) {
	tooLarge := &engine.Error{Code: engine.TooLarge, Text: fmt.Sprintf("input of more than %d bytes", engine.MaxInput)}
	size := r.ContentLength
	switch {
	case size > engine.MaxInput:
		return nil, tooLarge
	case size == 0:
		return nil, nil
	case size > 0 && size <= smallBody:
		data := body(int(size))
		_, err := io.ReadFull(r.Body, data)
		return data, bodyError(err)
	case size > 0 && size <= mostBody:
		if err := h.take(size); err != nil {
			return nil, err
		}
		data := body(int(size))
		_, err := io.ReadFull(r.Body, data)
		return data, bodyError(err)
	case size < 0:
		size = engine.MaxInput + 1
	}
	data := []byte(nil)
	for int64(len(data)) < size {
		room := min(max(firstRead, 2*int64(cap(data))), size)
		if err := h.take(room - int64(cap(data))); err != nil {
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
	_ = b.link.SetReadDeadline(time.Now().Add(stall))
	n, err := b.ReadCloser.Read(p)
	if errors.Is(err, io.EOF) {
		_ = b.link.SetReadDeadline(time.Time{})
	}
	return n, err
}

// withStall bounds how long the body of a request may take. A connection that answers by itself has done so already.
func withStall(rw http.ResponseWriter, r *http.Request) {
	if _, quick := rw.(*reply); quick || r.ContentLength == 0 || r.Body == nil {
		return
	}
	link := http.NewResponseController(rw)
	_ = link.SetReadDeadline(time.Now().Add(stall)) // also for a handler that never reads it
	r.Body = &stallBody{r.Body, link}
}

// admits refuses a call before its body is read, where it is certain to be refused after that.
func (w *Worker) admits(r *http.Request, name string) error {
	if r.ContentLength >= 0 && r.ContentLength <= smallBody || w.peers.has(name) {
		return nil
	}
	running := w.running(name)
	if running == nil {
		return w.absent(name)
	}
	if _, waiting, _ := running.gate.Counts(); waiting >= running.Queue {
		return &engine.Error{Code: engine.Overloaded, Text: name + " has too much to do", RetryAfter: overloadedFor}
	}
	return nil
}

// holdAnswer counts a large answer until it was taken.
func holdAnswer(h *held, output []byte) error {
	if len(output) <= firstRead {
		return nil
	}
	return h.take(int64(len(output)))
}
