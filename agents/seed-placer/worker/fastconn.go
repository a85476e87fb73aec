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

// The server of net/http starts a goroutine with each request, to hear of a client that goes away, and sets a deadline or
// two: more work than a warm call. So a connection answers by itself what asks for seeds that run here and has nothing
// unusual about it. The first request that is anything else is for the server to read, with all that comes after it.

// What a connection reads by itself, in bytes: a head that arrives in one piece, and a body behind it.
const (
	maxFastHead = 4 << 10
	maxFastBody = 64 << 10
)

// fastConn is a connection that answers by itself what it can. The server reads from it what it cannot.
type fastConn struct {
	net.Conn
	worker       *Worker
	client       string
	reader       *bufio.Reader // nil once everything is for the server
	leftover     []byte        // was read, and is for the server
	answered     bool          // it has answered
	readDeadline time.Time     // the deadline for the next request
}

// fastListener accepts connections that answer by themselves.
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

// Read answers what it can, and returns what it cannot.
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

// ReadFrom implements io.ReaderFrom, so that files go out without being read.
func (c *fastConn) ReadFrom(r io.Reader) (int64, error) { return io.Copy(c.Conn, r) }

// CloseWrite ends what is sent, so that a client still reads why it was refused.
func (c *fastConn) CloseWrite() error {
	if c, ok := c.Conn.(interface{ CloseWrite() error }); ok {
		return c.CloseWrite()
	}
	return nil
}

// handOver leaves this connection to the server. What it may take for the head of a first request, the server has set.
func (c *fastConn) handOver(arrived []byte) {
	c.leftover, c.reader = bytes.Clone(arrived), nil
	if c.answered {
		_ = c.SetReadDeadline(time.Now().Add(headerTimeout))
	}
}

// readRequest reads the head of a request that can be answered here, or nothing. What has arrived stays as it is.
func (c *fastConn) readRequest(arrived []byte) *http.Request {
	if !mayBeSeedRequest(arrived) || !bytes.Contains(arrived, []byte("\r\n\r\n")) {
		return nil
	}
	r, err := http.ReadRequest(c.reader)
	if err != nil || !isSimple(r) {
		return nil
	}
	name, _, _ := strings.Cut(r.URL.Path[len("/seed/"):], "/") // "/call/" is as long
	if c.worker.loadedSeed(name) == nil {
		return nil
	}
	r.RemoteAddr = c.client
	return r
}

// mayBeSeedRequest reports whether a request may be to a seed.
func mayBeSeedRequest(head []byte) bool {
	for _, begin := range []string{"GET /seed/", "POST /seed/", "POST /call/"} {
		if len(head) > len(begin) && string(head[:len(begin)]) == begin {
			return true
		}
	}
	return false
}

// isSimple reports whether a request is one that the server would take, and has nothing in it that it would do more about
// than to read it.
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

// respond answers a request. What is left of its body is read, for the next request stands behind it.
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

// extend gives the client the time that it has for its next request, a little less if that saves the setting of a deadline.
func (c *fastConn) extend(now time.Time) error {
	if c.readDeadline.Sub(now) > idleTimeout*9/10 {
		return nil
	}
	c.readDeadline = now.Add(idleTimeout)
	return c.SetReadDeadline(c.readDeadline)
}
