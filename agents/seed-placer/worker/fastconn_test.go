package worker

import (
	"bufio"
	"bytes"
	"context"
	"fmt"
	"io"
	"maps"
	"net"
	"net/http"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/platypus-platform/platypus/agents/seed-placer/fixture"
	"github.com/platypus-platform/platypus/agents/seed-placer/wire"
	"github.com/platypus-platform/platypus/intent"
)

// pair is a worker with two listeners: one with the fast path, and one without.
type pair struct {
	*Worker
	quick, plain string
	passed       atomic.Int64 // requests that the fast path handed to the server
}

func newPair(t testing.TB, modules map[string][]byte) *pair {
	t.Helper()
	first := wire.Config{Node: "n1", Blobs: t.TempDir(), Cache: t.TempDir()}
	w, err := newWorker(first, io.Discard, &Listeners{}, nil)
	if err != nil {
		t.Fatal(err)
	}
	for name, module := range modules {
		digest, _, err := w.blobs.Put(bytes.NewReader(module))
		if err != nil {
			t.Fatal(err)
		}
		first.Seeds = append(first.Seeds, wire.Seed{Name: name, Digest: digest, Seed: intent.Seed{Grants: intent.Grants{Egress: []intent.Egress{"https://nowhere.example"}}}})
	}
	if err := w.update(first); err != nil {
		t.Fatal(err)
	}
	for name := range modules {
		for end := time.Now().Add(5 * time.Minute); w.loadedSeed(name) == nil; time.Sleep(time.Millisecond) {
			if time.Now().After(end) {
				t.Fatalf("%s: %+v", name, w.slot(name).status())
			}
		}
	}
	p := &pair{Worker: w}
	p.quick = p.listen(t, func(l net.Listener) net.Listener { return fastListener{l, w} }, func(rw http.ResponseWriter, r *http.Request) {
		if r.URL.Path != "/end" {
			p.passed.Add(1)
		}
		w.withPeerChecks(rw, r)
	})
	p.plain = p.listen(t, func(l net.Listener) net.Listener { return l }, w.withPeerChecks)
	return p
}

func (p *pair) listen(t testing.TB, wrap func(net.Listener) net.Listener, handler http.HandlerFunc) string {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	server := p.server()
	server.Handler = handler
	go func() { _ = server.Serve(wrap(listener)) }()
	t.Cleanup(func() { _ = server.Close() })
	return listener.Addr().String()
}

// say sends pieces, each once the previous one has arrived, closes the sending side, and returns the responses.
func say(t testing.TB, address string, pieces ...string) string {
	t.Helper()
	conn, err := net.Dial("tcp", address)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	_ = conn.SetDeadline(time.Now().Add(20 * time.Second))
	for i, piece := range pieces {
		if i > 0 {
			time.Sleep(2 * time.Millisecond)
		}
		_, _ = io.WriteString(conn, piece)
	}
	_, _ = io.WriteString(conn, "GET /end HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n")
	wait := 10 * time.Second
	if all := strings.Join(pieces, ""); unfinished(all) {
		wait = 300 * time.Millisecond
	}
	defer time.AfterFunc(wait, func() { _ = conn.(*net.TCPConn).CloseWrite() }).Stop()
	said, err := io.ReadAll(conn)
	if err, late := err.(net.Error); late && err.Timeout() {
		t.Fatalf("no end of the answer to %q: %q", pieces, said)
	}
	if err != nil && bytes.Contains(said, []byte(" 403 ")) { // the server stops reading after a request that is not valid HTTP
		return told(string(said)) + "and the connection was reset"
	}
	return told(string(said))
}

// unfinished reports whether the input may be the start of an incomplete request: commands are left out of those,
// because for them the client has disconnected.
func unfinished(said string) bool {
	return !strings.Contains(said, "/seed/page/") && !strings.Contains(said, "/seed/web/") || strings.Contains(said, "never comes")
}

// told returns the responses without what may differ: date, header order, and the encoding of the length.
func told(said string) string {
	in, out := bufio.NewReader(strings.NewReader(said)), ""
	for {
		if _, err := in.Peek(1); err != nil {
			return out
		}
		r, err := http.ReadResponse(in, nil)
		if err != nil {
			return out + "and what is no answer, or belongs to a head that was asked for alone"
		}
		body, _ := io.ReadAll(r.Body) // none for a HEAD request
		r.Header.Del("Date")
		r.Header.Del("Content-Length")
		out += fmt.Sprintf("%d %v\n", r.StatusCode, r.Close)
		for _, name := range slices.Sorted(maps.Keys(r.Header)) {
			out += fmt.Sprintf("%s: %q\n", name, r.Header[name])
		}
		out += fmt.Sprintf("%q\n", body)
	}
}

// requests are valid and odd requests.
var requests = []string{
	"GET /seed/hello/ HTTP/1.1\r\nHost: a\r\n\r\n",
	"GET /seed/hello/hello HTTP/1.1\r\nHost: a:8080\r\nAccept: */*\r\nX-Two: 1\r\nx-two: 2\r\nCookie: a=b\r\nCookie: c=d\r\n\r\n",
	"POST /seed/hello/ HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nthere",
	"POST /call/hello/hello HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nthere",
	"POST /call/hello HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nthere",
	"POST /call/hello/none HTTP/1.1\r\nHost: a\r\nContent-Length: 0\r\n\r\n",
	"POST /call/none/none HTTP/1.1\r\nHost: a\r\nContent-Length: 4\r\n\r\nlost",
	"POST /call/hello/hello HTTP/1.1\r\nHost: a\r\nPlatypus-Deadline-Ms: 0\r\nContent-Length: 5\r\n\r\nthere",
	"POST /call/hello/hello HTTP/1.1\r\nHost: a\r\nPlatypus-Chain: x,hello\r\nPlatypus-Hop: 1\r\nContent-Length: 5\r\n\r\nthere",
	"GET /seed/hello HTTP/1.1\r\nHost: a\r\n\r\n",
	"GET /seed/none/ HTTP/1.1\r\nHost: a\r\n\r\n",
	"GET /seed/web/a%2fb/c?q=1&q=%20 HTTP/1.1\r\nHost: a\r\nUser-Agent: x\r\nAccept: \xe4\r\n\r\n",
	"POST /seed/web/echo HTTP/1.1\r\nHost: a\r\nContent-Type: text/x\r\nContent-Length: 5\r\n\r\nthere",
	"POST /seed/web/echo HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nthere\r\n0\r\n\r\n",
	"POST /seed/web/echo HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nthere\r\n0\r\n\r\n",
	"POST /seed/web/echo HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\nContent-Length: 4\r\n\r\nthere",
	"POST /seed/web/echo HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\nContent-Length: 5\r\n\r\nthere",
	"POST /seed/web/echo HTTP/1.1\r\nHost: a\r\nContent-Length: -5\r\n\r\nthere",
	"POST /seed/web/echo HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\nExpect: 100-continue\r\n\r\nthere",
	"POST /seed/web/echo HTTP/1.1\r\nHost: a\r\nContent-Length: 99\r\n\r\nthe rest never comes",
	"POST /seed/web/echo HTTP/1.1\r\nHost: a\r\nContent-Length: 70000\r\n\r\n" + strings.Repeat("x", 70000),
	"POST /seed/web/echo HTTP/1.1\r\nHost: a\r\nContent-Length: 60000\r\n\r\n" + strings.Repeat("x", 60000),
	"POST /seed/page/sub HTTP/1.1\r\nHost: a\r\nProxy: x\r\nContent-Length: 5\r\n\r\nthere",
	"GET /seed/page/ HTTP/1.1\r\nHost: a\r\n\r\n",
	"GET /seed/hello/ HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n",
	"GET /seed/hello/ HTTP/1.0\r\n\r\n",
	"GET /seed/hello/ HTTP/1.0\r\nConnection: keep-alive\r\n\r\n",
	"GET /seed/hello/ HTTP/1.2\r\nHost: a\r\n\r\n",
	"GET /seed/hello/ HTTP/2.0\r\nHost: a\r\n\r\n",
	"GET /seed/hello/ HTTP/1.1\r\n\r\n",
	"GET /seed/hello/ HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n",
	"GET /seed/hello/ HTTP/1.1\r\nHost: a b\r\n\r\n",
	"GET /seed/hello/ HTTP/1.1\r\nHost:\r\n\r\n",
	"GET /seed/hello/ HTTP/1.1\r\nHost: a\r\nBad Name: x\r\n\r\n",
	"GET /seed/hello/ HTTP/1.1\r\nHost: a\r\nName : x\r\n\r\n",
	"GET /seed/hello/ HTTP/1.1\r\nHost: a\r\nName: x\x00y\r\n\r\n",
	"GET /seed/hello/ HTTP/1.1\r\nHost: a\r\nName: x\r\n folded\r\n\r\n",
	"GET /seed/hello/ HTTP/1.1\nHost: a\n\n",
	"GET /seed/hello/ HTTP/1.1\nHost: a\nContent-Length: 4\n\n\r\n\r\n",
	"GET /seed/hello/ HTTP/1.1\r\nHost: a\r\nUpgrade: h2c\r\nConnection: Upgrade\r\n\r\n",
	"GET /seed/../seed/hello/ HTTP/1.1\r\nHost: a\r\n\r\n",
	"GET /seed/%zz/ HTTP/1.1\r\nHost: a\r\n\r\n",
	"GET /seed/hello/\x01 HTTP/1.1\r\nHost: a\r\n\r\n",
	"GET http://b/seed/hello/ HTTP/1.1\r\nHost: a\r\n\r\n",
	"HEAD /seed/web/ HTTP/1.1\r\nHost: a\r\n\r\n",
	"DELETE /seed/web/x HTTP/1.1\r\nHost: a\r\n\r\n",
	"GET /call/hello/hello HTTP/1.1\r\nHost: a\r\n\r\n",
	"PUT /blob HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\n\r\nx",
	"PUT /blob HTTP/1.1\r\nHost: a\r\nContent-Length: 3000000\r\n\r\n" + strings.Repeat("x", 300000),
	"GET / HTTP/1.1\r\nHost: none\r\n\r\n",
	"GET /seed/hello/ HTTP/1.1\r\nHost: a\r\nX: " + strings.Repeat("x", 5000) + "\r\n\r\n",
	"GET /seed/hello/ HTTP/1.1\r\nHost: a\r\n",
	"\r\nGET /seed/hello/ HTTP/1.1\r\nHost: a\r\n\r\n",
	"nonsense\r\n\r\n",
	"",
}

// quickModules are seeds of each kind.
func quickModules(t testing.TB) map[string][]byte {
	return map[string][]byte{"hello": fixture.Tiny(), "web": fixture.Go(t, "web+"), "page": fixture.Go(t, "page")}
}

// TestFastConn: whatever a client sends, in whatever pieces, the fast path answers what the server would; and simple
// requests never reach the server.
func TestFastConn(t *testing.T) {
	p := newPair(t, quickModules(t))
	t.Run("is no other", func(t *testing.T) { quickIsNoOther(t, p) })
	p.passed.Store(0)
	for _, request := range []string{requests[0], requests[1], requests[2], requests[3], requests[4]} {
		if got := say(t, p.quick, request, request, request); strings.Count(got, "200 false\n") != 3 {
			t.Errorf("%q: %s", request, got)
		}
	}
	say(t, p.quick, requests[11], requests[12], requests[22], requests[23])
	if n := p.passed.Load(); n != 0 {
		t.Errorf("%d usual requests were passed on", n)
	}
	say(t, p.quick, requests[0], requests[13], requests[0])
	if n := p.passed.Load(); n != 2 {
		t.Errorf("%d requests were passed on, not the one in chunks and what came after it", n)
	}
}

func quickIsNoOther(t *testing.T, p *pair) {
	good := requests[0]
	for _, request := range requests {
		for _, said := range [][]string{{request}, {good, request}, {good + request + good}} {
			if want, got := say(t, p.plain, said...), say(t, p.quick, said...); got != want {
				t.Errorf("%q: %s\nthe server: %s", said, got, want)
			}
		}
	}
	for _, request := range []string{requests[1], requests[2], requests[12], requests[13], requests[15]} {
		want := say(t, p.plain, request+good)
		for at := 1; at < len(request); at += 3 {
			if got := say(t, p.quick, request[:at], request[at:], good); got != want {
				t.Errorf("%q, in two: %s\nthe server: %s", request, got, want)
			}
		}
	}
}

// The server sends files through this.
var _ io.ReaderFrom = (*fastConn)(nil)

// TestDisconnectContext: a handler is told of a disconnect, and the watch takes nothing from the next request.
func TestDisconnectContext(t *testing.T) {
	for _, leaves := range []bool{true, false} {
		client, conn := net.Pipe()
		c := &fastConn{Conn: conn, reader: bufio.NewReader(conn)}
		v := &disconnectContext{Context: context.Background(), conn: c}
		ctx, cancel := context.WithCancel(v)
		go func() {
			if leaves {
				client.Close()
			} else {
				_, _ = client.Write([]byte("next"))
			}
		}()
		if leaves {
			<-ctx.Done()
		} else if <-v.stopped; ctx.Err() != nil {
			t.Error("who asks for the next is taken for gone")
		}
		v.stop()
		if next, _ := c.reader.Peek(4); !leaves && string(next) != "next" {
			t.Errorf("of what came next there is %q", next)
		}
		cancel()
	}
	_, conn := net.Pipe()
	v := &disconnectContext{Context: context.Background(), conn: &fastConn{Conn: conn, reader: bufio.NewReader(conn)}}
	_ = v.Done()
	if v.stop(); v.Err() != nil {
		t.Error("who is only no longer listened to is taken for gone")
	}
}

// TestFastResponse_SentOnce: a seed that writes more than its Content-Length does not corrupt the next response.
func TestFastResponse_SentOnce(t *testing.T) {
	client, conn := net.Pipe()
	said := make(chan string)
	go func() {
		all, _ := io.ReadAll(client)
		said <- string(all)
	}()
	resp := &fastResponse{conn: conn, header: http.Header{"Content-Length": {"4"}}}
	_, first := resp.Write([]byte("once"))
	if _, err := resp.Write([]byte("more")); first != nil || err == nil || resp.finish() != nil {
		t.Errorf("%v, %v", first, err)
	}
	conn.Close()
	if got := <-said; strings.Count(got, "HTTP/1.1 ") != 1 || !strings.HasSuffix(got, "\r\n\r\nonce") {
		t.Errorf("%q", got)
	}
}

func FuzzQuick(f *testing.F) {
	p := newPair(f, map[string][]byte{"hello": fixture.Tiny()})
	for _, request := range requests {
		f.Add(request)
	}
	f.Fuzz(func(t *testing.T, said string) {
		if want, got := say(t, p.plain, said), say(t, p.quick, said); got != want {
			t.Errorf("%q: %s\nthe server: %s", said, got, want)
		}
	})
}
