package fetch

import (
	"crypto/tls"
	"fmt"
	"io"
	"log"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/platypus-platform/platypus/store/certtest"
)

// TestStat_EachServer_Identity asks each kind of server what it has. None of them is made to send it.
func TestStat_EachServer_Identity(t *testing.T) {
	var sent atomic.Int64
	body := func(w http.ResponseWriter, r *http.Request) {
		for range 1000 {
			if r.Method == http.MethodHead {
				return // net/http would swallow it
			}
			n, err := w.Write(make([]byte, 64<<10))
			sent.Add(int64(n))
			if err != nil {
				return
			}
		}
	}
	headers := func(w http.ResponseWriter) {
		w.Header().Set("ETag", `"e"`)
		w.Header().Set("Last-Modified", "Sun, 31 Aug 2014 02:42:58 GMT")
		w.Header().Set("Content-Length", fmt.Sprint(1000*64<<10))
	}
	whole := Identity{ETag: `"e"`, Modified: "Sun, 31 Aug 2014 02:42:58 GMT", Size: 1000 * 64 << 10}
	for name, c := range map[string]struct {
		serve http.HandlerFunc
		is    Identity
		want  Reason
	}{
		"well-behaved": {func(w http.ResponseWriter, r *http.Request) { headers(w); body(w, r) }, whole, ""},
		"knows no HEAD": {func(w http.ResponseWriter, r *http.Request) {
			if r.Method == http.MethodHead {
				w.WriteHeader(http.StatusMethodNotAllowed)
				return
			}
			headers(w)
			body(w, r)
		}, whole, ""},
		"signed for GET": {func(w http.ResponseWriter, r *http.Request) {
			if r.Method != http.MethodGet {
				w.WriteHeader(http.StatusForbidden)
				return
			}
			headers(w)
			body(w, r)
		}, whole, ""},
		"says nothing": {func(w http.ResponseWriter, r *http.Request) {
			w.WriteHeader(http.StatusOK)
			_ = http.NewResponseController(w).Flush()
			body(w, r)
		}, Identity{Size: -1}, ""},
		"has nothing": {http.NotFound, Identity{}, NotFound},
		"refuses":     {func(w http.ResponseWriter, r *http.Request) { w.WriteHeader(http.StatusForbidden) }, Identity{}, Refused},
		"is broken":   {func(w http.ResponseWriter, r *http.Request) { w.WriteHeader(http.StatusBadGateway) }, Identity{}, Unreachable},
		"goes round":  {func(w http.ResponseWriter, r *http.Request) { http.Redirect(w, r, r.URL.Path, http.StatusFound) }, Identity{}, BadRedirect},
		"is silent":   {func(w http.ResponseWriter, r *http.Request) { <-r.Context().Done() }, Identity{}, Stalled},
	} {
		t.Run(name, func(t *testing.T) {
			sent.Store(0)
			s := httptest.NewServer(c.serve)
			defer s.Close()
			defer s.CloseClientConnections()
			req := Request{URL: s.URL + "/x"}
			if c.want == Stalled {
				req.Stall = 300 * time.Millisecond
			}
			is, err := Stat(t.Context(), req)
			if is != c.is || ReasonOf(err) != c.want || c.want == "" && err != nil {
				t.Errorf("%+v, %v; want %+v, %q", is, err, c.is, c.want)
			}
			if is.Known() != (c.is.ETag != "") && err == nil {
				t.Errorf("known: %v", is.Known())
			}
			if n := sent.Load(); n > 32<<20 { // what fits into the buffers between here and there
				t.Errorf("%d bytes were sent", n)
			}
		})
	}
	path := filepath.Join(t.TempDir(), "x")
	if _, err := Stat(t.Context(), Request{URL: path}); ReasonOf(err) != NotFound {
		t.Error(err)
	}
	seen := map[Identity]bool{}
	for _, content := range []string{"a", "b", "cc"} {
		if err := os.WriteFile(path+".new", []byte(content), 0o644); err != nil {
			t.Fatal(err)
		}
		if err := os.Rename(path+".new", path); err != nil {
			t.Fatal(err)
		}
		is, err := Stat(t.Context(), Request{URL: "file://" + path})
		again, err2 := Stat(t.Context(), Request{URL: path})
		if err != nil || err2 != nil || is != again || seen[is] || !is.Known() {
			t.Errorf("%+v, %+v, %v, %v", is, again, err, err2)
		}
		seen[is] = true
	}
}

// TestGet_BadCertificate_Untrusted: a certificate that does not count is its own reason, for nobody's network is at
// fault. It is never overlooked.
func TestGet_BadCertificate_Untrusted(t *testing.T) {
	now := time.Now()
	for name, c := range map[string]struct {
		from, to time.Time
		host     string
		trusted  bool
		want     Reason
		says     string
	}{
		"good":              {now.Add(-time.Hour), now.Add(time.Hour), "127.0.0.1", true, "", ""},
		"expired":           {now.Add(-2 * time.Hour), now.Add(-time.Hour), "127.0.0.1", true, Untrusted, "expired"},
		"not valid yet":     {now.Add(time.Hour), now.Add(2 * time.Hour), "127.0.0.1", true, Untrusted, "not yet valid"},
		"unknown authority": {now.Add(-time.Hour), now.Add(time.Hour), "127.0.0.1", false, Untrusted, "unknown authority"},
		"another host":      {now.Add(-time.Hour), now.Add(time.Hour), "192.0.2.1", true, Untrusted, "not 127.0.0.1"},
	} {
		t.Run(name, func(t *testing.T) {
			a := certtest.New(t)
			served := 0
			s := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { served++; fmt.Fprint(w, "thing") }))
			s.Config.ErrorLog = log.New(io.Discard, "", 0)
			s.TLS = &tls.Config{Certificates: []tls.Certificate{a.Pair("artifacts", c.host, c.from, c.to)}}
			s.StartTLS()
			defer s.Close()
			client := &http.Client{Transport: &http.Transport{TLSClientConfig: &tls.Config{}, DisableKeepAlives: true}}
			if c.trusted {
				client.Transport.(*http.Transport).TLSClientConfig.RootCAs = a.Pool()
			}
			req := Request{URL: s.URL + "/x?token=secret", Client: client, Partial: filepath.Join(t.TempDir(), "part")}
			f, err := Get(t.Context(), req)
			if f != nil {
				f.Close()
			}
			_, lookErr := Stat(t.Context(), req)
			_, smallErr := Small(t.Context(), req, 100)
			for _, err := range []error{err, lookErr, smallErr} {
				if ReasonOf(err) != c.want || (err == nil) != (c.want == "") {
					t.Errorf("%v, want %q", err, c.want)
				}
				if err != nil && (!strings.Contains(err.Error(), c.says) || strings.Contains(err.Error(), "secret")) {
					t.Errorf("it says %v", err)
				}
			}
			if (served > 0) != (c.want == "") {
				t.Errorf("%d requests were made", served)
			}
		})
	}
}
