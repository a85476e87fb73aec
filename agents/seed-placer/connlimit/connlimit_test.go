package connlimit

import (
	"bytes"
	"errors"
	"io"
	"net"
	"os"
	"strings"
	"testing"
	"time"
)

func listen(t *testing.T, limits Limits) *Listener {
	t.Helper()
	inner, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	l := New(inner, limits)
	t.Cleanup(func() { _ = l.Close() })
	return l
}

// dial connects from an address.
func dial(t *testing.T, from string, l *Listener) net.Conn {
	t.Helper()
	d := net.Dialer{LocalAddr: &net.TCPAddr{IP: net.ParseIP(from)}}
	conn, err := d.Dial("tcp", l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close() })
	return conn
}

// TestAccept_RefusesSurplusConnections: of one client, and of all together; what was closed counts no more.
func TestAccept_RefusesSurplusConnections(t *testing.T) {
	l := listen(t, Limits{Total: 3, PerClient: 2, Stall: time.Minute})
	accepted := make(chan net.Conn, 10)
	go func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			_, _ = io.WriteString(conn, "in")
			accepted <- conn
		}
	}()
	says := func(conn net.Conn, want string) {
		t.Helper()
		text := make([]byte, len(want))
		if _, err := io.ReadFull(conn, text); err != nil || string(text) != want {
			t.Errorf("it says %q, %v; want %q", text, err, want)
		}
	}
	says(dial(t, "127.0.0.2", l), "in")
	says(dial(t, "127.0.0.2", l), "in")
	refused := dial(t, "127.0.0.2", l)
	if text, err := io.ReadAll(refused); err != nil || string(text) != rejection {
		t.Errorf("a third one: %q, %v", text, err)
	}
	head, body, _ := strings.Cut(rejection, "\r\n\r\n")
	if !strings.Contains(head, "Content-Length: 46") || len(body) != 46 {
		t.Errorf("the length of the refusal is %d", len(body))
	}
	says(dial(t, "127.0.0.3", l), "in")
	says(dial(t, "127.0.0.4", l), "HTTP/1.1 503")
	conn := <-accepted
	_ = conn.Close()
	_ = conn.Close()
	says(dial(t, "127.0.0.4", l), "in")
	says(dial(t, "127.0.0.5", l), "HTTP/1.1 503")
}

// TestWrite_EndsWhenTheClientTakesNothing: neither bytes nor files wait for ever, and what is taken arrives whole.
func TestWrite_EndsWhenTheClientTakesNothing(t *testing.T) {
	const size = 64 << 20
	file, err := os.Create(t.TempDir() + "/file")
	if err == nil {
		err = file.Truncate(size)
	}
	if err != nil {
		t.Fatal(err)
	}
	ways := map[string]func(net.Conn) (int64, error){
		"bytes": func(conn net.Conn) (int64, error) {
			n, err := conn.Write(make([]byte, size))
			return int64(n), err
		},
		"file": func(conn net.Conn) (int64, error) {
			_, _ = file.Seek(0, io.SeekStart)
			return io.Copy(conn, io.LimitReader(file, size))
		},
		"unbounded": func(conn net.Conn) (int64, error) { return io.Copy(conn, bytes.NewReader(make([]byte, size))) },
	}
	for name, send := range ways {
		for _, reads := range []bool{true, false} {
			stall := 500 * time.Millisecond
			if reads {
				stall = time.Minute
			}
			l := listen(t, Limits{Total: 9, PerClient: 9, Stall: stall})
			client := dial(t, "127.0.0.1", l)
			conn, err := l.Accept()
			if err != nil {
				t.Fatal(err)
			}
			got := make(chan int64, 1)
			if reads {
				go func() {
					n, _ := io.Copy(io.Discard, client)
					got <- n
				}()
			}
			n, err := send(conn)
			_ = conn.Close()
			switch {
			case reads && (err != nil || n != size || <-got != size):
				t.Errorf("%s: %d bytes were taken: %v", name, n, err)
			case !reads && (!errors.Is(err, os.ErrDeadlineExceeded) || n == size):
				t.Errorf("%s: nobody took them, and %d were sent: %v", name, n, err)
			}
		}
	}
}
