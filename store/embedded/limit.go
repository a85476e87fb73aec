package embedded

import (
	"fmt"
	"net"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/valyala/fasthttp"
)

const (
	maxConns  = 20000
	spareFile = 64 // open files that the store keeps for itself
)

// crowd counts connections, and turns away those that are too many with words: what merely waits to be accepted looks
// like a store that hangs.
type crowd struct {
	net.Listener
	limit int64
	count atomic.Int64
}

// newCrowd lets in as many connections as there are files to open for them.
func newCrowd(l net.Listener) *crowd {
	c := &crowd{Listener: l, limit: maxConns}
	var files syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_NOFILE, &files); err == nil && files.Cur < maxConns+spareFile {
		c.limit = max(1, int64(files.Cur)-spareFile)
	}
	return c
}

// Accept implements net.Listener.
func (c *crowd) Accept() (net.Conn, error) {
	for {
		conn, err := c.Listener.Accept()
		if err != nil {
			return nil, err
		}
		if c.count.Load() < c.limit {
			return newLine(conn), nil
		}
		text := fmt.Sprintf("too many connections: this store serves %d at a time", c.limit)
		_ = conn.SetWriteDeadline(time.Now().Add(time.Second))
		_, _ = fmt.Fprintf(conn, "HTTP/1.1 429 Too Many Requests\r\nContent-Type: text/plain\r\nConnection: close\r\nContent-Length: %d\r\n\r\n%s", len(text), text)
		_ = conn.Close()
	}
}

// state keeps the count, for the server.
func (c *crowd) state(_ net.Conn, s fasthttp.ConnState) {
	switch s {
	case fasthttp.StateNew:
		c.count.Add(1)
	case fasthttp.StateClosed, fasthttp.StateHijacked:
		c.count.Add(-1)
	}
}
