package embedded_test

import (
	"fmt"
	"net"
	"net/http"
	"runtime"
	"testing"
	"time"

	"go.uber.org/goleak"
)

// TestBlockingQuery_ClientDisconnects_Ends: no goroutine of a disconnected client remains.
func TestBlockingQuery_ClientDisconnects_Ends(t *testing.T) {
	before := goleak.IgnoreCurrent()
	t.Cleanup(func() { // after the server has ended; one goroutine of its worker pool sleeps a little longer
		goleak.VerifyNone(t, before, goleak.IgnoreAnyFunction("github.com/valyala/fasthttp.(*workerPool).Start.func2"))
	})
	addr := serveFront(t)
	idle := runtime.NumGoroutine()
	var conns []net.Conn
	for range 500 {
		conn, err := net.Dial("tcp", addr)
		if err != nil {
			t.Fatal(err)
		}
		fmt.Fprint(conn, "GET /v1/kv/a?index=1&wait=600s HTTP/1.1\r\nHost: localhost\r\n\r\n")
		conns = append(conns, conn)
	}
	until(t, "all wait", func() bool { return runtime.NumGoroutine() >= idle+2*len(conns) })
	for _, conn := range conns {
		conn.Close()
	}
	start := time.Now()
	until(t, "all are gone", func() bool { return runtime.NumGoroutine() < idle+len(conns)/2 })
	t.Logf("%d waiters gone after %v", len(conns), time.Since(start))
}

func TestClose_BlockingQueries_End(t *testing.T) {
	base, s := serve(t, t.TempDir())
	answers := make(chan int, 1)
	c := client(t)
	go func() {
		code, _, _, _ := do(c, "GET", base+"/v1/kv/a?index=1&wait=600s", "")
		answers <- code
	}()
	time.Sleep(100 * time.Millisecond) // long enough that the request probably blocks
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	select {
	case code := <-answers:
		if code != http.StatusInternalServerError {
			t.Errorf("a closing store answers %d", code)
		}
	case <-time.After(hang):
		t.Fatal("a closed store keeps a client waiting")
	}
	if code, _, body, err := do(c, "PUT", base+"/v1/kv/a", "1"); code != http.StatusInternalServerError || body != "store is closed" {
		t.Errorf("a write to a closed store: %d %q %v", code, body, err)
	}
}

func until(t *testing.T, what string, holds func() bool) {
	t.Helper()
	for end := time.Now().Add(hang); !holds(); time.Sleep(10 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("never: %s", what)
		}
	}
}
