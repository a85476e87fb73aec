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
	quickHead = 4 << 10
	quickBody = 64 << 10
)

// quick is a connection that answers by itself what it can. The server reads from it what it cannot.
type quick struct {
	net.Conn
	w      *Worker
	client string
	in     *bufio.Reader // nil once everything is for the server
	passed []byte        // was read, and is for the server
	began  bool          // it has answered
	until  time.Time     // the deadline for the next request
}

// quickly accepts connections that answer by themselves.
type quickly struct {
	net.Listener
	w *Worker
}

// Accept implements net.Listener.
func (l quickly) Accept() (net.Conn, error) {
	conn, err := l.Listener.Accept()
	if err != nil {
		return nil, err
	}
	return &quick{Conn: conn, w: l.w, client: conn.RemoteAddr().String(), in: bufio.NewReaderSize(conn, quickHead)}, nil
}

// Read answers what it can, and returns what it cannot.
func (q *quick) Read(p []byte) (int, error) {
	for q.in != nil {
		if _, err := q.in.Peek(1); err != nil {
			return 0, err
		}
		arrived, _ := q.in.Peek(q.in.Buffered())
		r := q.head(arrived)
		if r == nil {
			q.pass(arrived)
			break
		}
		if err := q.answer(r); err != nil {
			return 0, err
		}
	}
	if len(q.passed) == 0 {
		return q.Conn.Read(p)
	}
	n := copy(p, q.passed)
	q.passed = q.passed[n:]
	return n, nil
}

// ReadFrom implements io.ReaderFrom, so that files go out without being read.
func (q *quick) ReadFrom(r io.Reader) (int64, error) { return io.Copy(q.Conn, r) }

// CloseWrite ends what is sent, so that a client still reads why it was refused.
func (q *quick) CloseWrite() error {
	if c, ok := q.Conn.(interface{ CloseWrite() error }); ok {
		return c.CloseWrite()
	}
	return nil
}

// pass leaves this connection to the server. What it may take for the head of a first request, the server has set.
func (q *quick) pass(arrived []byte) {
	q.passed, q.in = bytes.Clone(arrived), nil
	if q.began {
		_ = q.SetReadDeadline(time.Now().Add(headerTimeout))
	}
}

// head reads the head of a request that can be answered here, or nothing. What has arrived stays as it is.
func (q *quick) head(arrived []byte) *http.Request {
	if !asksSeed(arrived) || !bytes.Contains(arrived, []byte("\r\n\r\n")) {
		return nil
	}
	r, err := http.ReadRequest(q.in)
	if err != nil || !usual(r) {
		return nil
	}
	name, _, _ := strings.Cut(r.URL.Path[len("/seed/"):], "/") // "/call/" is as long
	if q.w.running(name) == nil {
		return nil
	}
	r.RemoteAddr = q.client
	return r
}

// asksSeed reports whether a request may be to a seed.
func asksSeed(head []byte) bool {
	for _, begin := range []string{"GET /seed/", "POST /seed/", "POST /call/"} {
		if len(head) > len(begin) && string(head[:len(begin)]) == begin {
			return true
		}
	}
	return false
}

// usual reports whether a request is one that the server would take, and has nothing in it that it would do more about
// than to read it.
func usual(r *http.Request) bool {
	if r.Proto != "HTTP/1.1" || r.Close || r.ContentLength < 0 || r.ContentLength > quickBody || r.Host == "" || !httpguts.ValidHostHeader(r.Host) {
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

// answer answers a request. What is left of its body is read, for the next request stands behind it.
func (q *quick) answer(r *http.Request) error {
	if r.ContentLength > int64(q.in.Buffered()) {
		q.until = time.Now().Add(headerTimeout)
		_ = q.SetReadDeadline(q.until)
	}
	v, a := &visitor{Context: context.Background(), q: q}, &reply{to: q.Conn, header: http.Header{}}
	q.w.enter(a, r.WithContext(v))
	v.leave()
	q.began = true
	if err := a.end(); err != nil {
		return err
	}
	if r.ContentLength > 0 {
		if _, err := io.Copy(io.Discard, r.Body); err != nil {
			return err
		}
	}
	return q.extend(time.Now())
}

// extend gives the client the time that it has for its next request, a little less if that saves the setting of a deadline.
func (q *quick) extend(now time.Time) error {
	if q.until.Sub(now) > idleTimeout*9/10 {
		return nil
	}
	q.until = now.Add(idleTimeout)
	return q.SetReadDeadline(q.until)
}
