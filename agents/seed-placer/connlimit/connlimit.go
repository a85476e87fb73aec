// Package connlimit limits the connections of a listener, in total and per client address, and disconnects clients
// that read too slowly.
package connlimit

import (
	"io"
	"net"
	"sync"
	"time"
)

// chunkSize is how many bytes a client must read within Limits.Stall.
const chunkSize = 256 << 10

// rejection is sent to a client with too many connections.
const rejection = "HTTP/1.1 503 Service Unavailable\r\nConnection: close\r\nRetry-After: 1\r\nContent-Type: text/plain\r\n" +
	"Content-Length: 46\r\n\r\n503 too many connections: close some, or wait\n"

// rejectionTimeout limits the write of the rejection. It fits into the send buffer of a new connection.
const rejectionTimeout = 100 * time.Millisecond

// Limits are the limits of one listener.
type Limits struct {
	Total     int           // concurrent connections
	PerClient int           // concurrent connections of one client address
	Stall     time.Duration // minimum time to read 256 KiB; a client gets at most twice as long
	Silent    bool          // close surplus connections without a response, as TLS requires
}

// Listener accepts connections within limits, and closes those beyond them.
type Listener struct {
	net.Listener
	limits  Limits
	mu      sync.Mutex
	total   int
	clients map[string]int
}

// New wraps a listener with limits.
func New(inner net.Listener, limits Limits) *Listener {
	return &Listener{Listener: inner, limits: limits, clients: map[string]int{}}
}

// Accept implements net.Listener.
func (l *Listener) Accept() (net.Conn, error) {
	for {
		conn, err := l.Listener.Accept()
		if err != nil {
			return nil, err
		}
		client := clientAddress(conn)
		if l.acquire(client) {
			return &Conn{Conn: conn, listener: l, client: client}, nil
		}
		if !l.limits.Silent {
			_ = conn.SetWriteDeadline(time.Now().Add(rejectionTimeout))
			_, _ = io.WriteString(conn, rejection)
		}
		_ = conn.Close()
	}
}

func clientAddress(conn net.Conn) string {
	host, _, err := net.SplitHostPort(conn.RemoteAddr().String())
	if err != nil {
		return "" // unix sockets have no host
	}
	return host
}

func (l *Listener) acquire(client string) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.total >= l.limits.Total || l.clients[client] >= l.limits.PerClient {
		return false
	}
	l.total++
	l.clients[client]++
	return true
}

func (l *Listener) release(client string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.total--
	if l.clients[client]--; l.clients[client] == 0 {
		delete(l.clients, client)
	}
}

// Conn is a connection of a [Listener]. Its peer must read what is written in time. Only one goroutine at a time may
// write.
type Conn struct {
	net.Conn
	listener      *Listener
	client        string
	writeDeadline time.Time // zero if none is set
	closed        sync.Once
}

// Close implements net.Conn.
func (c *Conn) Close() error {
	c.closed.Do(func() { c.listener.release(c.client) })
	return c.Conn.Close()
}

// SetDeadline implements net.Conn.
func (c *Conn) SetDeadline(t time.Time) error {
	c.writeDeadline = t
	return c.Conn.SetDeadline(t)
}

// SetWriteDeadline implements net.Conn.
func (c *Conn) SetWriteDeadline(t time.Time) error {
	c.writeDeadline = t
	return c.Conn.SetWriteDeadline(t)
}

// extend renews the write deadline for one more chunk. It skips the system call while the deadline is far enough off.
func (c *Conn) extend() {
	if now, stall := time.Now(), c.listener.limits.Stall; c.writeDeadline.Sub(now) < stall {
		_ = c.SetWriteDeadline(now.Add(2 * stall))
	}
}

// Write implements net.Conn.
func (c *Conn) Write(p []byte) (written int, err error) {
	for {
		c.extend()
		n, err := c.Conn.Write(p[:min(len(p), chunkSize)])
		written, p = written+n, p[n:]
		if err != nil || len(p) == 0 {
			return written, err
		}
	}
}

// ReadFrom implements io.ReaderFrom, so that files are sent by sendfile.
func (c *Conn) ReadFrom(r io.Reader) (sent int64, err error) {
	to, ok := c.Conn.(io.ReaderFrom)
	if !ok {
		return io.Copy(struct{ io.Writer }{c}, r)
	}
	source, bounded := r.(*io.LimitedReader)
	for {
		part := &io.LimitedReader{R: r, N: chunkSize}
		if bounded {
			part.R, part.N = source.R, min(chunkSize, source.N)
		}
		most := part.N
		c.extend()
		n, err := to.ReadFrom(part)
		sent += n
		if bounded {
			source.N -= n
		}
		if err != nil || n < most || bounded && source.N <= 0 {
			return sent, err
		}
	}
}

// CloseWrite shuts down the sending side, so that a client can still read why it was rejected.
func (c *Conn) CloseWrite() error {
	if half, ok := c.Conn.(interface{ CloseWrite() error }); ok {
		return half.CloseWrite()
	}
	return nil
}
