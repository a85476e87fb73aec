package embedded

import (
	"io"
	"net"
	"os"
	"sync"
	"syscall"
	"time"
)

const (
	bufferSize    = 4 << 10     // bytes; most requests are smaller
	deadlineSlack = time.Second // a read deadline may be up to this much early
)

var bufferPool = sync.Pool{New: func() any { return new([bufferSize]byte) }}

// bufferedConn reads a client connection with few system calls and little memory. The server reads the first byte of a
// request with a 1-byte Read, so an idle client holds no buffer. The connection then reads everything available into a
// pooled buffer, which it keeps until the buffer is empty. The socket deadline is set only when a read may block: most
// requests arrive complete.
type bufferedConn struct {
	net.Conn
	raw                     syscall.RawConn
	fillFunc                func(fd uintptr) bool // the method value fill, allocated once
	buffer                  *[bufferSize]byte     // nil when unread is empty
	unread                  []byte
	err                     error // of the last read system call
	deadline, armedDeadline time.Time
}

// newConn wraps conn if it exposes its file descriptor.
func newConn(conn net.Conn) net.Conn {
	socket, ok := conn.(syscall.Conn)
	if !ok {
		return conn
	}
	raw, err := socket.SyscallConn()
	if err != nil {
		return conn
	}
	c := &bufferedConn{Conn: conn, raw: raw}
	c.fillFunc = c.fill
	return c
}

// Read implements net.Conn.
func (c *bufferedConn) Read(p []byte) (int, error) {
	if len(c.unread) == 0 {
		if err := c.applyDeadline(); err != nil {
			return 0, err
		}
		if len(p) != 1 {
			return c.Conn.Read(p)
		}
		if err := c.raw.Read(c.fillFunc); err != nil {
			return 0, err
		}
		if c.err != nil {
			return 0, c.err
		}
	}
	n := copy(p, c.unread)
	if c.unread = c.unread[n:]; len(c.unread) == 0 {
		bufferPool.Put(c.buffer)
		c.buffer, c.unread = nil, nil
	}
	return n, nil
}

// fill reads what has arrived. It returns false when the read would block.
func (c *bufferedConn) fill(fd uintptr) bool {
	buffer := bufferPool.Get().(*[bufferSize]byte)
	n, err := syscall.Read(int(fd), buffer[:])
	if n > 0 {
		c.buffer, c.unread, c.err = buffer, buffer[:n], nil
		return true
	}
	bufferPool.Put(buffer)
	switch err {
	case nil:
		c.err = io.EOF
	case syscall.EINTR:
		return c.fill(fd)
	case syscall.EAGAIN:
		return false
	default:
		c.err = os.NewSyscallError("read", err)
	}
	return true
}

// SetReadDeadline implements net.Conn for reads that start later. Only the zero time also affects a read in progress.
func (c *bufferedConn) SetReadDeadline(t time.Time) error {
	c.deadline = t
	if t.IsZero() {
		return c.applyDeadline()
	}
	return nil
}

// SetDeadline implements net.Conn.
func (c *bufferedConn) SetDeadline(t time.Time) error {
	if err := c.SetWriteDeadline(t); err != nil {
		return err
	}
	return c.SetReadDeadline(t)
}

// applyDeadline sets the socket deadline unless the previous one is close enough.
func (c *bufferedConn) applyDeadline() error {
	if later := c.deadline.Sub(c.armedDeadline); later == 0 || later > 0 && later < deadlineSlack && !c.armedDeadline.IsZero() {
		return nil
	}
	c.armedDeadline = c.deadline
	return c.Conn.SetReadDeadline(c.deadline)
}

// SyscallConn implements syscall.Conn, so that disconnect can peek at the socket.
func (c *bufferedConn) SyscallConn() (syscall.RawConn, error) { return c.raw, nil }
