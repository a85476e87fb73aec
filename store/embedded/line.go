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
	readAhead = 4 << 10     // bytes, which most requests are smaller than
	slack     = time.Second // by how much sooner than it was told to a line may give up to wait
)

var buffers = sync.Pool{New: func() any { return new([readAhead]byte) }}

// line is the connection of a client, to be read from with few system calls and little memory. The server waits for the
// first byte of the next request, so that no client that is silent costs it a buffer. A line then takes all that has
// come, into a buffer that it has for as long as there is something in it. And a deadline is set only where something
// waits for it: most requests are here as a whole when they are.
type line struct {
	net.Conn
	raw         syscall.RawConn
	take        func(fd uintptr) bool // fill, made a value once
	buffer      *[readAhead]byte      // nil when nothing is ahead
	ahead       []byte
	err         error // of the last system call
	wish, armed time.Time
}

// newLine returns conn as a line if it is one of the kernel's.
func newLine(conn net.Conn) net.Conn {
	socket, ok := conn.(syscall.Conn)
	if !ok {
		return conn
	}
	raw, err := socket.SyscallConn()
	if err != nil {
		return conn
	}
	l := &line{Conn: conn, raw: raw}
	l.take = l.fill
	return l
}

// Read implements net.Conn.
func (l *line) Read(p []byte) (int, error) {
	if len(l.ahead) == 0 {
		if err := l.arm(); err != nil {
			return 0, err
		}
		if len(p) != 1 {
			return l.Conn.Read(p)
		}
		if err := l.raw.Read(l.take); err != nil {
			return 0, err
		}
		if l.err != nil {
			return 0, l.err
		}
	}
	n := copy(p, l.ahead)
	if l.ahead = l.ahead[n:]; len(l.ahead) == 0 {
		buffers.Put(l.buffer)
		l.buffer, l.ahead = nil, nil
	}
	return n, nil
}

// fill takes what has come, and returns false when that is nothing yet.
func (l *line) fill(fd uintptr) bool {
	buffer := buffers.Get().(*[readAhead]byte)
	n, err := syscall.Read(int(fd), buffer[:])
	if n > 0 {
		l.buffer, l.ahead, l.err = buffer, buffer[:n], nil
		return true
	}
	buffers.Put(buffer)
	switch err {
	case nil:
		l.err = io.EOF
	case syscall.EINTR:
		return l.fill(fd)
	case syscall.EAGAIN:
		return false
	default:
		l.err = os.NewSyscallError("read", err)
	}
	return true
}

// SetReadDeadline implements net.Conn, for reads that begin from now on. That there is none counts for all.
func (l *line) SetReadDeadline(t time.Time) error {
	l.wish = t
	if t.IsZero() {
		return l.arm()
	}
	return nil
}

// SetDeadline implements net.Conn.
func (l *line) SetDeadline(t time.Time) error {
	if err := l.SetWriteDeadline(t); err != nil {
		return err
	}
	return l.SetReadDeadline(t)
}

// arm sets the deadline of the reads to come, unless the last one will do.
func (l *line) arm() error {
	if later := l.wish.Sub(l.armed); later == 0 || later > 0 && later < slack && !l.armed.IsZero() {
		return nil
	}
	l.armed = l.wish
	return l.Conn.SetReadDeadline(l.wish)
}

// SyscallConn implements syscall.Conn, for who looks at what has come without taking it.
func (l *line) SyscallConn() (syscall.RawConn, error) { return l.raw, nil }
