package history_test

import (
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"sync"
	"testing"
)

// fate is what becomes of a request on the wire.
type fate int

const (
	passes   fate = iota
	unsent        // it never arrives
	unheard       // it is carried out, and the answer is lost
	rejected      // the store answers 500 and does nothing
)

// wire stands between a client and a store and decides over each request by its number, from 1.
type wire struct {
	*httptest.Server
	mu     sync.Mutex
	n      int
	decide func(n int, r *http.Request) fate
}

func between(t testing.TB, address string) *wire {
	target, err := url.Parse("http://" + address)
	if err != nil {
		t.Fatal(err)
	}
	transport := &http.Transport{MaxIdleConnsPerHost: 50}
	proxy := &httputil.ReverseProxy{
		Rewrite:      func(r *httputil.ProxyRequest) { r.SetURL(target) },
		Transport:    transport,
		ErrorHandler: func(w http.ResponseWriter, _ *http.Request, _ error) { w.WriteHeader(http.StatusBadGateway) },
	}
	x := &wire{}
	x.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch x.next(r) {
		case unsent:
			panic(http.ErrAbortHandler)
		case unheard:
			proxy.ServeHTTP(httptest.NewRecorder(), r)
			panic(http.ErrAbortHandler)
		case rejected:
			http.Error(w, "rpc error: leadership lost while committing log", http.StatusInternalServerError)
		default:
			proxy.ServeHTTP(w, r)
		}
	}))
	t.Cleanup(func() {
		x.CloseClientConnections()
		x.Close()
		transport.CloseIdleConnections()
	})
	return x
}

// now restarts the count.
func (x *wire) now(decide func(n int, r *http.Request) fate) {
	x.mu.Lock()
	defer x.mu.Unlock()
	x.n, x.decide = 0, decide
}

// count is the number of requests so far.
func (x *wire) count() int {
	x.mu.Lock()
	defer x.mu.Unlock()
	return x.n
}

func (x *wire) next(r *http.Request) fate {
	x.mu.Lock()
	defer x.mu.Unlock()
	x.n++
	if x.decide == nil {
		return passes
	}
	return x.decide(x.n, r)
}

// dies passes n-1 requests, breaks the next one, and passes none after it.
func dies(at int, worst fate) func(int, *http.Request) fate {
	return func(n int, _ *http.Request) fate {
		switch {
		case n < at:
			return passes
		case n == at:
			return worst
		}
		return unsent
	}
}
