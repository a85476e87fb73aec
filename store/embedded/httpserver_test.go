package embedded_test

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/platypus-platform/platypus/store/embedded"
)

// serveFront serves a new store with Serve. It ends with the test, before the test's deferred functions.
func serveFront(t *testing.T) (addr string) {
	t.Helper()
	ctx, stop := context.WithCancel(context.Background())
	ready, served := make(chan string), make(chan error, 1)
	go func() {
		served <- embedded.Serve(ctx, embedded.Config{Data: t.TempDir(), Listen: "127.0.0.1:0", NoToken: true}, func(addr string) { ready <- addr })
	}()
	t.Cleanup(func() {
		stop()
		if err := <-served; err != nil {
			t.Error(err)
		}
	})
	select {
	case addr = <-ready:
	case err := <-served:
		t.Fatal(err)
	}
	return addr
}

// rawClient is one connection on which a test can send arbitrary bytes.
type rawClient struct {
	t    *testing.T
	conn net.Conn
	in   *bufio.Reader
}

func dial(t *testing.T, addr string) *rawClient {
	t.Helper()
	conn, err := net.Dial("tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	_ = conn.SetDeadline(time.Now().Add(hang))
	return &rawClient{t, conn, bufio.NewReader(conn)}
}

func (c *rawClient) send(format string, values ...any) {
	c.t.Helper()
	if _, err := fmt.Fprintf(c.conn, format, values...); err != nil {
		c.t.Fatal(err)
	}
}

func (c *rawClient) expect(code int, contains string) *http.Response {
	c.t.Helper()
	answer, err := http.ReadResponse(c.in, nil)
	if err != nil {
		c.t.Fatal(err)
	}
	body, err := io.ReadAll(answer.Body)
	if err != nil || answer.StatusCode != code || !strings.Contains(string(body), contains) {
		c.t.Fatalf("answered %d %q %v, want %d %q", answer.StatusCode, body, err, code, contains)
	}
	return answer
}

// TestServer_ManyRequestsOnOneConnection_AreAnswered: the connection stays usable after a wait that ended, after a wait
// that the next request cut short, and after a chunked body.
func TestServer_ManyRequestsOnOneConnection_AreAnswered(t *testing.T) {
	addr := serveFront(t)
	c, other := dial(t, addr), dial(t, addr)
	put := func(c *rawClient, value string) {
		c.send("PUT /v1/kv/a HTTP/1.1\r\nHost: localhost\r\nContent-Length: %d\r\n\r\n%s", len(value), value)
		c.expect(200, "true")
	}
	put(c, "one")
	for _, value := range []string{"two", "three"} {
		c.send("GET /v1/kv/a?raw HTTP/1.1\r\nHost: localhost\r\n\r\n")
		index := c.expect(200, "").Header.Get("X-Consul-Index")
		c.send("GET /v1/kv/a?raw&index=%s&wait=600s HTTP/1.1\r\nHost: localhost\r\n\r\n", index)
		time.Sleep(50 * time.Millisecond) // long enough that the request probably blocks
		put(other, value)
		c.expect(200, value)
	}
	c.send("GET /v1/kv/a?index=100000&wait=300ms HTTP/1.1\r\nHost: localhost\r\n\r\nGET /v1/kv/a?raw HTTP/1.1\r\nHost: localhost\r\n\r\n")
	c.expect(200, "dGhyZWU=")
	c.expect(200, "three")
	c.send("PUT /v1/kv/a HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nfour\r\n0\r\n\r\n")
	c.expect(200, "true")
	c.send("GET /v1/kv/a?raw HTTP/1.1\r\nHost: localhost\r\n\r\n")
	c.expect(200, "four")
}

// TestServer_InvalidRequests_AreRejected sends requests that no endpoint sees, or not completely.
func TestServer_InvalidRequests_AreRejected(t *testing.T) {
	addr := serveFront(t)
	for _, test := range []struct {
		name, request string
		code          int
		text          string
	}{
		{"no request", "hello\r\n\r\n", 400, "Error when parsing request"},
		{"a path that is none", "GET a%%zz HTTP/1.1\r\nHost: localhost\r\n\r\n", 400, "Error when parsing request"},
		{"a large header", "GET / HTTP/1.1\r\nHost: localhost\r\nA: " + strings.Repeat("a", 100<<10) + "\r\n\r\n", 431, "Too big"},
		{"a large value", "PUT /v1/kv/a HTTP/1.1\r\nHost: localhost\r\nContent-Length: 600000\r\n\r\n" + strings.Repeat("a", 600000), 413,
			"Request body(600000 bytes) too large, max size: 524288 bytes."},
		{"a huge value", "PUT /v1/kv/a HTTP/1.1\r\nHost: localhost\r\nContent-Length: 60000000\r\n\r\n", 413,
			"Request body(60000000 bytes) too large, max size: 524288 bytes."},
	} {
		t.Run(test.name, func(t *testing.T) {
			c := dial(t, addr)
			c.send("%s", test.request)
			c.expect(test.code, test.text)
		})
	}
}
