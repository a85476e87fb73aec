package worker

import (
	"bufio"
	"bytes"
	"context"
	"io"
	"net"
	"net/http"
	"strings"
	"time"

	"golang.org/x/net/http/httpguts"
)

// The net/http server starts a goroutine with each request, to notice a disconnect, and sets deadlines: more work
// than a warm call. So a connection answers simple requests to seeds of this worker itself. From the first other
// request on, the server handles the connection.

// Limits in bytes of a request that the fast path handles: the header, which must arrive in one piece, and the body.
const (
	maxFastHead = 4 << 10
	maxFastBody = 64 << 10
)

// fastConn is a connection that answers simple requests itself. The server reads the others from it.
type fastConn struct {
	net.Conn
	worker       *Worker
	client       string
	reader       *bufio.Reader // nil once the server has taken over
	leftover     []byte        // already read, to be returned to the server
	answered     bool          // it has answered a request
	readDeadline time.Time     // of the next request
}

// fastListener accepts connections as fastConns.
type fastListener struct {
	net.Listener
	worker *Worker
}

// Accept implements net.Listener.
func (l fastListener) Accept() (net.Conn, error) {
	conn, err := l.Listener.Accept()
	if err != nil {
		return nil, err
	}
	return &fastConn{Conn: conn, worker: l.worker, client: conn.RemoteAddr().String(), reader: bufio.NewReaderSize(conn, maxFastHead)}, nil
}

// Read answers simple requests, and returns the data of the first other one.
func (c *fastConn) Read(p []byte) (int, error) {
	for c.reader != nil {
		if _, err := c.reader.Peek(1); err != nil {
			return 0, err
		}
		arrived, _ := c.reader.Peek(c.reader.Buffered())
		r := c.readRequest(arrived)
		if r == nil {
			c.handOver(arrived)
			break
		}
		if err := c.respond(r); err != nil {
			return 0, err
		}
	}
	if len(c.leftover) == 0 {
		return c.Conn.Read(p)
	}
	n := copy(p, c.leftover)
	c.leftover = c.leftover[n:]
	return n, nil
}

// ReadFrom implements io.ReaderFrom, so that files are sent by sendfile.
func (c *fastConn) ReadFrom(r io.Reader) (int64, error) { return io.Copy(c.Conn, r) }

// CloseWrite shuts down the sending side, so that a client can still read why it was rejected.
func (c *fastConn) CloseWrite() error {
	if c, ok := c.Conn.(interface{ CloseWrite() error }); ok {
		return c.CloseWrite()
	}
	return nil
}

// handOver leaves the connection to the server. The server has set the deadline of a first header itself.
func (c *fastConn) handOver(arrived []byte) {
	c.leftover, c.reader = bytes.Clone(arrived), nil
	if c.answered {
		_ = c.SetReadDeadline(time.Now().Add(headerTimeout))
	}
}

// readRequest parses a request that can be answered here, or returns nil and leaves arrived intact.
func (c *fastConn) readRequest(arrived []byte) *http.Request {
	if !mayBeSeedRequest(arrived) || !bytes.Contains(arrived, []byte("\r\n\r\n")) {
		return nil
	}
	r, err := http.ReadRequest(c.reader)
	if err != nil || !isSimple(r) {
		return nil
	}
	name, _, _ := strings.Cut(r.URL.Path[len("/seed/"):], "/") // "/call/" has the same length
	if c.worker.loadedSeed(name) == nil {
		return nil
	}
	r.RemoteAddr = c.client
	return r
}

// mayBeSeedRequest reports whether the data starts like a request to a seed.
func mayBeSeedRequest(head []byte) bool {
	for _, begin := range []string{"GET /seed/", "POST /seed/", "POST /call/"} {
		if len(head) > len(begin) && string(head[:len(begin)]) == begin {
			return true
		}
	}
	return false
}

// isSimple reports whether a request is valid and the server would do no more with it than read it.
func isSimple(r *http.Request) bool {
	if r.Proto != "HTTP/1.1" || r.Close || r.ContentLength < 0 || r.ContentLength > maxFastBody || r.Host == "" || !httpguts.ValidHostHeader(r.Host) {
		return false
	}
	for name, values := range r.Header {
		if name == "Expect" || name == "Upgrade" || !httpguts.ValidHeaderFieldName(name) {
			return false
		}
		for _, v := range values {
			if !httpguts.ValidHeaderFieldValue(v) {
				return false
			}
		}
	}
	return true
}

// respond answers a request. It reads the rest of the body, because the next request follows it.
func (c *fastConn) respond(r *http.Request) error {
	if r.ContentLength > int64(c.reader.Buffered()) {
		c.readDeadline = time.Now().Add(headerTimeout)
		_ = c.SetReadDeadline(c.readDeadline)
	}
	v, resp := &disconnectContext{Context: context.Background(), conn: c}, &fastResponse{conn: c.Conn, header: http.Header{}}
	c.worker.withPeerChecks(resp, r.WithContext(v))
	v.stop()
	c.answered = true
	if err := resp.finish(); err != nil {
		return err
	}
	if r.ContentLength > 0 {
		if _, err := io.Copy(io.Discard, r.Body); err != nil {
			return err
		}
	}
	return c.extend(time.Now())
}

// extend sets the deadline of the next request, unless the current one is almost as late: that saves a system call.
func (c *fastConn) extend(now time.Time) error {
	if c.readDeadline.Sub(now) > idleTimeout*9/10 {
		return nil
	}
	c.readDeadline = now.Add(idleTimeout)
	return c.SetReadDeadline(c.readDeadline)
}
