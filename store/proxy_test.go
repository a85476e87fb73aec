package store_test

import (
	"errors"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/platypus-platform/platypus/intent"
	"github.com/platypus-platform/platypus/store"
	"github.com/platypus-platform/platypus/store/embedtest"
)

func isDenied(err error) bool { return errors.Is(err, store.ErrDenied) }

// nopLogger drops messages about intended faults.
var nopLogger = log.New(io.Discard, "", 0)

// eventually fails if holds does not become true in time.
func eventually(t testing.TB, what string, holds func() bool) {
	t.Helper()
	for end := time.Now().Add(hang); !holds(); time.Sleep(20 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("never: %s", what)
		}
	}
}

// fault handles a request in place of the store; pass forwards it.
type fault func(w http.ResponseWriter, r *http.Request, pass http.Handler)

// faulty is a proxy between a client and a store.
type faulty struct {
	*httptest.Server
	fault atomic.Pointer[fault]
}

func between(t *testing.T, store *httptest.Server) *faulty {
	target, err := url.Parse(store.URL)
	if err != nil {
		t.Fatal(err)
	}
	pass := httputil.NewSingleHostReverseProxy(target)
	pass.ErrorLog = nopLogger
	f := &faulty{}
	f.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if do := f.fault.Load(); do != nil {
			(*do)(w, r, pass)
			return
		}
		pass.ServeHTTP(w, r)
	}))
	t.Cleanup(func() { f.CloseClientConnections(); f.Close() })
	return f
}

// now applies the fault from the next request on, and aborts blocking requests.
func (f *faulty) now(do fault) {
	f.fault.Store(&do)
	f.CloseClientConnections()
}

func (f *faulty) heal() {
	f.fault.Store(nil)
	f.CloseClientConnections()
}

func status(code int, text string) fault {
	return func(w http.ResponseWriter, _ *http.Request, _ http.Handler) { http.Error(w, text, code) }
}

// body answers 200 with an index and a body.
func body(index, text string) fault {
	return func(w http.ResponseWriter, _ *http.Request, _ http.Handler) {
		w.Header().Set("X-Consul-LastContact", "0")
		w.Header().Set("X-Consul-KnownLeader", "true")
		if index != "" {
			w.Header().Set("X-Consul-Index", index)
		}
		io.WriteString(w, text)
	}
}

// recorded forwards the request and lets edit change the response.
func recorded(edit func(*httptest.ResponseRecorder)) fault {
	return func(w http.ResponseWriter, r *http.Request, pass http.Handler) {
		q := r.URL.Query()
		q.Del("index") // do not block
		r.URL.RawQuery = q.Encode()
		answer := httptest.NewRecorder()
		pass.ServeHTTP(answer, r)
		answer.Header().Del("Content-Length")
		edit(answer)
		for name, values := range answer.Header() {
			w.Header()[name] = values
		}
		w.WriteHeader(answer.Code)
		w.Write(answer.Body.Bytes())
	}
}

func replace(answer *httptest.ResponseRecorder, text string) {
	answer.Body.Reset()
	answer.Body.WriteString(text)
}

// broken are responses that must count as failures.
var broken = map[string]fault{
	"500 no leader":       status(500, "No cluster leader"),
	"500 rpc":             status(500, "rpc error making call: EOF"),
	"503":                 status(503, "limits exceeded"),
	"429":                 status(429, "Your IP is issuing too many concurrent connections"),
	"403":                 status(403, "Permission denied"),
	"404 of a lost proxy": status(404, "<html>not here</html>"),
	"200 of a lost proxy": body("", "<html>welcome</html>"),
	"empty, no index":     body("", "[]"),
	"empty, index 0":      body("0", "[]"),
	"null, no index":      body("", "null"),
	"index is no number":  body("soon", "[]"),
	"HTML with an index":  body("99", "<html>it is true</html>"),
	"empty 200":           body("99", ""),
	"garbled":             body("99", "\x1f\x8b\x08\x00true\x00\xff"),
	"204": func(w http.ResponseWriter, _ *http.Request, _ http.Handler) {
		w.Header().Set("X-Consul-Index", "99")
		w.WriteHeader(http.StatusNoContent)
	},
	"reset": func(w http.ResponseWriter, _ *http.Request, _ http.Handler) {
		conn, _, _ := w.(http.Hijacker).Hijack()
		_ = conn.(*net.TCPConn).SetLinger(0)
		conn.Close()
	},
	"cut in the body": func(w http.ResponseWriter, _ *http.Request, _ http.Handler) {
		conn, _, _ := w.(http.Hijacker).Hijack()
		fmt.Fprint(conn, "HTTP/1.1 200 OK\r\nX-Consul-Index: 99\r\nContent-Length: 1000\r\n\r\n[{\"Key\":")
		conn.Close()
	},
	"truncated JSON": recorded(func(a *httptest.ResponseRecorder) { replace(a, a.Body.String()[:a.Body.Len()/2]) }),
	"filtered by access": recorded(func(a *httptest.ResponseRecorder) {
		a.Header().Set("X-Consul-Results-Filtered-By-ACLs", "true")
		replace(a, "[]")
	}),
	"black hole": func(_ http.ResponseWriter, r *http.Request, _ http.Handler) {
		_, _ = io.Copy(io.Discard, r.Body) // needed to notice that the client disconnects
		<-r.Context().Done()
	},
}

// odd are unusual but valid responses.
var odd = map[string]fault{
	"twice": recorded(func(a *httptest.ResponseRecorder) {
		text := strings.Trim(a.Body.String(), "[]\n")
		replace(a, "["+text+","+text+"]")
	}),
	"older index": recorded(func(a *httptest.ResponseRecorder) { a.Header().Set("X-Consul-Index", "1") }),
	"slow": func(w http.ResponseWriter, r *http.Request, pass http.Handler) {
		recorded(func(*httptest.ResponseRecorder) { time.Sleep(300 * time.Millisecond) })(w, r, pass)
	},
}

// TestWatch_FaultyResponses_DeliversOnlyCompleteState: every delivered state is complete and correct, and once the
// fault is gone changes arrive.
func TestWatch_FaultyResponses_DeliversOnlyCompleteState(t *testing.T) {
	t.Parallel()
	try := func(do fault, heard bool) func(t *testing.T) {
		return func(t *testing.T) {
			t.Parallel()
			behind := embedtest.Server(t)
			direct, tree := opened(t, behind.URL), anyTree(t)
			assign(t, direct, tree, "slug", "v1")
			wire := between(t, behind)
			w := watch(t, opened(t, wire.URL), tree)
			w.until("slug at v1", active("slug", "v1"))

			wire.now(do)
			good := w.ok.Load()
			for begin := time.Now(); w.wrong.Load() < 2 && heard || !heard && w.ok.Load() < good+4; time.Sleep(5 * time.Millisecond) {
				if time.Since(begin) > hang {
					t.Fatal("nobody is told")
				}
			}
			if heard {
				w.quiet(100 * time.Millisecond)
			}
			assign(t, direct, tree, "slug", "v2")
			wire.heal()
			w.until("slug at v2", active("slug", "v2"))
		}
	}
	for name, do := range broken {
		if name == "black hole" && testing.Short() {
			continue // takes as long as a blocking query
		}
		t.Run(name, try(do, true))
	}
	for name, do := range odd {
		t.Run(name, try(do, false))
	}
}

// TestGet_FaultyResponses_ReturnMatchingErrors: no faulty response makes a key absent.
func TestGet_FaultyResponses_ReturnMatchingErrors(t *testing.T) {
	t.Parallel()
	for name, do := range broken {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			behind := embedtest.Server(t)
			put(t, opened(t, behind.URL), "a/key", "value")
			wire := between(t, behind)
			wire.now(do)
			s := opened(t, wire.URL)
			want := store.ErrUnreachable
			if name == "403" {
				want = store.ErrDenied
			}
			if name != "filtered by access" { // a header of lists
				if gone, err := s.Gone(t.Context(), "a/key"); gone || !errors.Is(err, want) {
					t.Errorf("gone %v: %v", gone, err)
				}
			} else {
				want = store.ErrDenied
			}
			if pairs, _, err := s.List(t.Context(), intent.Prefix("a/"), store.Consistent); !errors.Is(err, want) {
				t.Errorf("list %v: %v", pairs, err)
			}
			if blank, err := s.Blank(t.Context(), intent.Prefix("a/")); blank || !errors.Is(err, want) {
				t.Errorf("blank %v: %v", blank, err)
			}
		})
	}
}
