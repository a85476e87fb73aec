package worker

import (
	"bufio"
	"bytes"
	"fmt"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/platypus-platform/platypus/agents/seed-placer/fixture"
)

// post sends the header of a call and a part of its body from an address.
func post(t *testing.T, from, to string, size int, part []byte) *bufio.Reader {
	t.Helper()
	conn, err := (&net.Dialer{LocalAddr: &net.TCPAddr{IP: net.ParseIP(from)}}).Dial("tcp", to)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close() })
	go func() { // the server may reject it before it has read all
		fmt.Fprintf(conn, "POST /call/tiny/hello HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n\r\n", size)
		_, _ = conn.Write(part)
	}()
	return bufio.NewReader(conn)
}

// TestInFlight_BodiesAreLimited: incomplete bodies are limited per client and in total; small requests still work,
// and everything is released after a disconnect.
func TestInFlight_BodiesAreLimited(t *testing.T) {
	w := newPair(t, map[string][]byte{"tiny": fixture.Tiny()})
	const most = 1 << 20
	w.inFlight.setLimit(most)
	at := w.listen(t, func(l net.Listener) net.Listener { return fastListener{l, w.Worker} }, w.withPeerChecks)
	status := func(r *bufio.Reader) int {
		t.Helper()
		response, err := http.ReadResponse(r, nil)
		if err != nil {
			t.Fatal(err)
		}
		return response.StatusCode
	}
	used := func() int64 {
		w.inFlight.mu.Lock()
		defer w.inFlight.mu.Unlock()
		if w.inFlight.used > most {
			t.Errorf("%d bytes are under way, of %d", w.inFlight.used, most)
		}
		return w.inFlight.used
	}
	until := func(what string, ok func() bool) {
		t.Helper()
		for end := time.Now().Add(time.Minute); !ok(); time.Sleep(time.Millisecond) {
			if time.Now().After(end) {
				t.Fatalf("still not so: %s", what)
			}
		}
	}
	part := bytes.Repeat([]byte("x"), 400<<10)
	post(t, "127.0.0.2", at, 450<<10, part)
	until("the first is held", func() bool { return used() >= 400<<10 })
	if got := status(post(t, "127.0.0.2", at, 900<<10, part)); got != http.StatusTooManyRequests {
		t.Errorf("a second body of one client: %d", got)
	}
	post(t, "127.0.0.3", at, 450<<10, part)
	until("another client's is held", func() bool { return used() >= 800<<10 })
	if got := status(post(t, "127.0.0.4", at, 900<<10, part)); got != http.StatusTooManyRequests {
		t.Errorf("a third client's: %d", got)
	}
	if got := status(post(t, "127.0.0.4", at, 5, []byte("small"))); got != http.StatusOK {
		t.Errorf("a small body: %d", got)
	}
	if got := status(post(t, "127.0.0.4", at, 32<<10, part[:32<<10])); got != http.StatusOK {
		t.Errorf("one that has room: %d", got)
	}
	large := &http.Request{ContentLength: -1, Body: http.NoBody, Header: http.Header{}}
	if err := w.precheck(large, "nobody"); err == nil || !strings.Contains(err.Error(), "nobody") {
		t.Errorf("a body for nobody: %v", err)
	}
}

// TestInFlight_IsReleased: all reservations are released, whoever made them.
func TestInFlight_IsReleased(t *testing.T) {
	f := newByteLimiter()
	f.setLimit(100)
	a, b := reservation{byteLimiter: f, client: "127.0.0.1:1"}, reservation{byteLimiter: f, client: "127.0.0.1:2"}
	if a.reserve(30) != nil || b.reserve(20) != nil || b.reserve(1) == nil {
		t.Errorf("%+v", f)
	}
	a.release()
	if b.reserve(30) != nil {
		t.Errorf("%+v", f)
	}
	b.release()
	if f.used != 0 || len(f.clients) != 0 {
		t.Errorf("%+v is left", f)
	}
}
