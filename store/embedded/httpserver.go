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

// net/http starts a goroutine per request to detect a client that disconnects. That costs more than answering most
// requests here, so this server watches the connection only while a request is blocking.

// maxRequest is the limit for any body, in bytes. Each endpoint has a lower limit with its own message.
const maxRequest = 4 << 20

// rawBodySize is the size from which a response body is sent without a copy, in bytes.
const rawBodySize = 64 << 10

// newServer returns an HTTP server for the store's API. A nil guard admits every request.
func newServer(s *Store, guard *access) *fasthttp.Server {
	handler := s.Handler()
	return &fasthttp.Server{
		Handler: func(c *fasthttp.RequestCtx) {
			if !guard.reject(c) {
				serveRequest(c, handler)
			}
		},
		ErrorHandler: func(c *fasthttp.RequestCtx, err error) {
			if !errors.Is(err, fasthttp.ErrBodyTooLarge) || !guard.reject(c) {
				rejectRequest(c, handler, err)
			}
		},
		ReadTimeout:                  requestTimeout,
		IdleTimeout:                  idleTimeout,
		MaxIdleWorkerDuration:        2 * time.Second, // end the workers of a burst soon
		ReadBufferSize:               maxHeader,
		MaxRequestBodySize:           maxRequest,
		ReduceMemoryUsage:            true, // most connections are idle watchers
		DisablePreParseMultipartForm: true,
		NoDefaultServerHeader:        true,
		CloseOnShutdown:              true,
		Logger:                       nopLogger{}, // drops messages about clients that disconnect
	}
}

type nopLogger struct{}

func (nopLogger) Printf(string, ...any) {}

// serveRequest passes one request to the handler. A panic becomes a 500.
func serveRequest(c *fasthttp.RequestCtx, handler http.Handler) {
	x := &exchange{disconnect: disconnect{Context: context.Background(), conn: c.Conn()}, responseWriter: responseWriter{c: c}}
	r, err := x.newRequest(c.Request.Body())
	if err != nil {
		c.Error("Error when parsing request", http.StatusBadRequest)
		return
	}
	defer func() {
		if panicked := recover(); panicked != nil {
			fmt.Fprintf(os.Stderr, "answer %s %s: %v\n%s", r.Method, r.URL, panicked, debug.Stack())
			c.Error("internal error", http.StatusInternalServerError)
			c.SetConnectionClose()
		}
	}()
	handler.ServeHTTP(&x.responseWriter, r)
	x.responseWriter.finish()
}

// exchange holds the request context and the response writer, so that a request needs one allocation for both.
type exchange struct {
	disconnect
	responseWriter
}

// rejectRequest answers a request that could not be read completely. For an oversized body the endpoint chooses the
// message.
func rejectRequest(c *fasthttp.RequestCtx, handler http.Handler, err error) {
	code, text := http.StatusBadRequest, "Error when parsing request"
	var small *fasthttp.ErrSmallBuffer
	var late net.Error
	switch {
	case errors.Is(err, fasthttp.ErrBodyTooLarge):
		x := &exchange{disconnect: disconnect{Context: context.Background(), conn: c.Conn()}, responseWriter: responseWriter{c: c}}
		if r, err := x.newRequest(nil); err == nil && r.ContentLength > 0 {
			handler.ServeHTTP(&x.responseWriter, r)
			x.responseWriter.finish()
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

// newRequest converts the request. It omits the headers: no endpoint reads them, and the guard ran before.
func (x *exchange) newRequest(body []byte) (*http.Request, error) {
	uri := string(x.c.Request.Header.RequestURI())
	u, err := url.ParseRequestURI(uri)
	if err != nil {
		return nil, err
	}
	r := baseRequest.WithContext(&x.disconnect)
	r.Method, r.URL, r.RequestURI, r.Body = http.MethodGet, u, uri, http.NoBody
	if !x.c.IsGet() {
		r.Method = string(x.c.Method())
	}
	if len(body) > 0 {
		r.Body = io.NopCloser(bytes.NewReader(body))
	}
	r.ContentLength = int64(x.c.Request.Header.ContentLength())
	if r.ContentLength < 0 {
		r.ContentLength = int64(len(body)) // chunked, or no body
	}
	return r, nil
}

var baseRequest = &http.Request{Proto: "HTTP/1.1", ProtoMajor: 1, ProtoMinor: 1}

// responseWriter sends the response as one piece.
type responseWriter struct {
	c      *fasthttp.RequestCtx
	header http.Header
}

// Header implements http.ResponseWriter for code that does not use setHeader.
func (r *responseWriter) Header() http.Header {
	if r.header == nil {
		r.header = http.Header{}
	}
	return r.header
}

// setHeader sets a header without changing the case of its name. fasthttp sets Content-Length itself.
func (r *responseWriter) setHeader(name, value string) {
	if name != "Content-Length" {
		r.c.Response.Header.DisableNormalizing()
		r.c.Response.Header.Set(name, value)
	}
}

func (r *responseWriter) WriteHeader(code int) { r.c.SetStatusCode(code) }

// Write appends to the body. A part of rawBodySize or more must be the whole body and owned by this response: it is not
// copied.
func (r *responseWriter) Write(p []byte) (int, error) {
	if len(p) >= rawBodySize {
		r.c.Response.SetBodyRaw(p)
		return len(p), nil
	}
	return r.c.Write(p)
}

func (r *responseWriter) finish() {
	for name, values := range r.header {
		for _, value := range values {
			r.setHeader(name, value)
		}
	}
}

// disconnect is a context that ends when the client disconnects. It starts to watch the connection at the first call of
// Done.
type disconnect struct {
	context.Context
	conn net.Conn
	done chan struct{} // closed when the client disconnects
}

// Done returns a channel that closes when the client disconnects.
func (d *disconnect) Done() <-chan struct{} {
	if d.done != nil {
		return d.done
	}
	d.done = make(chan struct{})
	_ = d.conn.SetReadDeadline(time.Time{})
	go d.waitForClose()
	return d.done
}

// Err returns context.Canceled once Done is closed.
func (d *disconnect) Err() error {
	if d.done == nil {
		return nil
	}
	select {
	case <-d.done:
		return context.Canceled
	default:
		return nil
	}
}

// waitForClose blocks until the socket is readable and peeks: it finds either the next request of this client or the
// end of the connection. It can outlive the request; the read of the next request then waits for the peek, and both
// share one deadline.
func (d *disconnect) waitForClose() {
	socket, ok := d.conn.(syscall.Conn)
	if !ok {
		return
	}
	raw, err := socket.SyscallConn()
	if err != nil {
		return
	}
	received := false
	err = raw.Read(func(fd uintptr) bool {
		var next [1]byte
		n, _, err := syscall.Recvfrom(int(fd), next[:], syscall.MSG_PEEK)
		received = n > 0
		return err != syscall.EAGAIN && err != syscall.EINTR
	})
	if !received && !errors.Is(err, os.ErrDeadlineExceeded) {
		close(d.done)
	}
}

// retryListener survives a shortage of file descriptors or memory.
type retryListener struct{ net.Listener }

// Accept waits for a connection. It retries with back-off on EMFILE, ENOMEM and similar errors.
func (l retryListener) Accept() (net.Conn, error) {
	for wait := 5 * time.Millisecond; ; wait = min(2*wait, time.Second) {
		conn, err := l.Listener.Accept()
		if err == nil || !isResourceError(err) {
			return conn, err
		}
		time.Sleep(wait)
	}
}

func isResourceError(err error) bool {
	for _, e := range []syscall.Errno{syscall.EMFILE, syscall.ENFILE, syscall.ENOBUFS, syscall.ENOMEM, syscall.ECONNABORTED} {
		if errors.Is(err, e) {
			return true
		}
	}
	return false
}
