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
	maxConns      = 20000
	reservedFiles = 64 // file descriptors reserved for the store itself
)

// limitListener counts connections and answers 429 above the limit. A connection left in the accept queue would look
// like a store that hangs.
type limitListener struct {
	net.Listener
	limit int64
	count atomic.Int64
}

// newLimitListener sets the limit from RLIMIT_NOFILE, at most maxConns.
func newLimitListener(inner net.Listener) *limitListener {
	l := &limitListener{Listener: inner, limit: maxConns}
	var rlimit syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_NOFILE, &rlimit); err == nil && rlimit.Cur < maxConns+reservedFiles {
		l.limit = max(1, int64(rlimit.Cur)-reservedFiles)
	}
	return l
}

// Accept implements net.Listener.
func (l *limitListener) Accept() (net.Conn, error) {
	for {
		conn, err := l.Listener.Accept()
		if err != nil {
			return nil, err
		}
		if l.count.Load() < l.limit {
			return newConn(conn), nil
		}
		text := fmt.Sprintf("too many connections: this store serves %d at a time", l.limit)
		_ = conn.SetWriteDeadline(time.Now().Add(time.Second))
		_, _ = fmt.Fprintf(conn, "HTTP/1.1 429 Too Many Requests\r\nContent-Type: text/plain\r\nConnection: close\r\nContent-Length: %d\r\n\r\n%s", len(text), text)
		_ = conn.Close()
	}
}

// onConnState counts connections; it is the server's ConnState hook.
func (l *limitListener) onConnState(_ net.Conn, s fasthttp.ConnState) {
	switch s {
	case fasthttp.StateNew:
		l.count.Add(1)
	case fasthttp.StateClosed, fasthttp.StateHijacked:
		l.count.Add(-1)
	}
}
