package embedded

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"os"
	"runtime/debug"
	"syscall"
	"time"

	"github.com/valyala/fasthttp"
)

// The server of net/http starts a goroutine with every request, to hear of a client that goes away. That costs more
// than the answer to most requests here, so the front listens to the client of a request only while the request waits.

// maxRequest bounds what is read of a body at all, in bytes. Each endpoint refuses earlier, with its own words.
const maxRequest = 4 << 20

// large is a part of an answer that is worth not to be copied, in bytes.
const large = 64 << 10

// newFront returns a server of the store's API, behind a guard if there is one.
func newFront(s *Store, guard *access) *fasthttp.Server {
	handler := s.Handler()
	return &fasthttp.Server{
		Handler: func(c *fasthttp.RequestCtx) {
			if !guard.refuse(c) {
				answer(c, handler)
			}
		},
		ErrorHandler: func(c *fasthttp.RequestCtx, err error) {
			if !errors.Is(err, fasthttp.ErrBodyTooLarge) || !guard.refuse(c) {
				refuseRequest(c, handler, err)
			}
		},
		ReadTimeout:                  requestTimeout,
		IdleTimeout:                  idleTimeout,
		MaxIdleWorkerDuration:        2 * time.Second, // the many who serve a crowd are not kept for the next
		ReadBufferSize:               maxHeader,
		MaxRequestBodySize:           maxRequest,
		ReduceMemoryUsage:            true, // most connections are watchers that wait
		DisablePreParseMultipartForm: true,
		NoDefaultServerHeader:        true,
		CloseOnShutdown:              true,
		Logger:                       quiet{}, // of clients that break off
	}
}

type quiet struct{}

func (quiet) Printf(string, ...any) {}

// answer has the handler answer one request.
func answer(c *fasthttp.RequestCtx, handler http.Handler) {
	x := &exchange{departure: departure{Context: context.Background(), conn: c.Conn()}, reply: reply{c: c}}
	r, err := x.request(c.Request.Body())
	if err != nil {
		c.Error("Error when parsing request", http.StatusBadRequest)
		return
	}
	defer func() {
		if fault := recover(); fault != nil {
			fmt.Fprintf(os.Stderr, "answer %s %s: %v\n%s", r.Method, r.URL, fault, debug.Stack())
			c.Error("internal error", http.StatusInternalServerError)
			c.SetConnectionClose()
		}
	}()
	handler.ServeHTTP(&x.reply, r)
	x.reply.finish()
}

// exchange is a request and its answer, in one piece because it is made for each.
type exchange struct {
	departure
	reply
}

// refuseRequest answers what could not be read whole. A body that is too large is refused in the words of its endpoint.
func refuseRequest(c *fasthttp.RequestCtx, handler http.Handler, err error) {
	code, text := http.StatusBadRequest, "Error when parsing request"
	var small *fasthttp.ErrSmallBuffer
	var late net.Error
	switch {
	case errors.Is(err, fasthttp.ErrBodyTooLarge):
		x := &exchange{departure: departure{Context: context.Background(), conn: c.Conn()}, reply: reply{c: c}}
		if r, err := x.request(nil); err == nil && r.ContentLength > 0 {
			handler.ServeHTTP(&x.reply, r)
			x.reply.finish()
			return
		}
		code, text = http.StatusRequestEntityTooLarge, fmt.Sprintf("Request body too large, max size: %d bytes.", maxRequest)
	case errors.As(err, &small):
		code, text = http.StatusRequestHeaderFieldsTooLarge, "Too big request header"
	case errors.As(err, &late) && late.Timeout():
		code, text = http.StatusRequestTimeout, "Request timeout"
	}
	c.Error(text, code)
}

// request is the request as far as the endpoints look at it: none of them asks for a header; the guard does before.
func (x *exchange) request(body []byte) (*http.Request, error) {
	uri := string(x.c.Request.Header.RequestURI())
	u, err := url.ParseRequestURI(uri)
	if err != nil {
		return nil, err
	}
	r := blank.WithContext(&x.departure)
	r.Method, r.URL, r.RequestURI, r.Body = http.MethodGet, u, uri, http.NoBody
	if !x.c.IsGet() {
		r.Method = string(x.c.Method())
	}
	if len(body) > 0 {
		r.Body = io.NopCloser(bytes.NewReader(body))
	}
	r.ContentLength = int64(x.c.Request.Header.ContentLength())
	if r.ContentLength < 0 {
		r.ContentLength = int64(len(body)) // it came in chunks, or there is none
	}
	return r, nil
}

var blank = &http.Request{Proto: "HTTP/1.1", ProtoMajor: 1, ProtoMinor: 1}

// reply is an answer that is sent as a whole.
type reply struct {
	c      *fasthttp.RequestCtx
	header http.Header
}

// Header implements http.ResponseWriter, for what does not know set.
func (r *reply) Header() http.Header {
	if r.header == nil {
		r.header = http.Header{}
	}
	return r.header
}

// set sets a header, named the way it is to be written. The length of the body says itself.
func (r *reply) set(name, value string) {
	if name != "Content-Length" {
		r.c.Response.Header.DisableNormalizing()
		r.c.Response.Header.Set(name, value)
	}
}

func (r *reply) WriteHeader(code int) { r.c.SetStatusCode(code) }

// Write takes a part of the body. One that is large is all of it, and made for this answer alone: it is not copied.
func (r *reply) Write(p []byte) (int, error) {
	if len(p) >= large {
		r.c.Response.SetBodyRaw(p)
		return len(p), nil
	}
	return r.c.Write(p)
}

func (r *reply) finish() {
	for name, values := range r.header {
		for _, value := range values {
			r.set(name, value)
		}
	}
}

// departure is a context that ends when the client goes away. It begins to listen once somebody asks for Done.
type departure struct {
	context.Context
	conn net.Conn
	gone chan struct{} // closed when the client has gone
}

// Done returns the channel that closes when the client goes away.
func (d *departure) Done() <-chan struct{} {
	if d.gone != nil {
		return d.gone
	}
	d.gone = make(chan struct{})
	_ = d.conn.SetReadDeadline(time.Time{})
	go d.listen()
	return d.gone
}

// Err returns why Done is closed.
func (d *departure) Err() error {
	if d.gone == nil {
		return nil
	}
	select {
	case <-d.gone:
		return context.Canceled
	default:
		return nil
	}
}

// listen waits until there is something to read and looks at it without taking it: the next request of this client, or
// its end. It may outlive the request. Who reads the next one from the connection then waits until listen has looked,
// and shares the deadline of that reading with it.
func (d *departure) listen() {
	socket, ok := d.conn.(syscall.Conn)
	if !ok {
		return
	}
	raw, err := socket.SyscallConn()
	if err != nil {
		return
	}
	here := false
	err = raw.Read(func(fd uintptr) bool {
		var next [1]byte
		n, _, err := syscall.Recvfrom(int(fd), next[:], syscall.MSG_PEEK)
		here = n > 0
		return err != syscall.EAGAIN && err != syscall.EINTR
	})
	if !here && !errors.Is(err, os.ErrDeadlineExceeded) {
		close(d.gone)
	}
}

// patient is a listener that outlives a shortage of file descriptors.
type patient struct{ net.Listener }

// Accept waits for a connection, and while there is none to be had for want of descriptors or memory, for better times.
func (l patient) Accept() (net.Conn, error) {
	for wait := 5 * time.Millisecond; ; wait = min(2*wait, time.Second) {
		conn, err := l.Listener.Accept()
		if err == nil || !scarce(err) {
			return conn, err
		}
		time.Sleep(wait)
	}
}

func scarce(err error) bool {
	for _, e := range []syscall.Errno{syscall.EMFILE, syscall.ENFILE, syscall.ENOBUFS, syscall.ENOMEM, syscall.ECONNABORTED} {
		if errors.Is(err, e) {
			return true
		}
	}
	return false
}
