package fetch

import (
	"bytes"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/platypus-platform/platypus/agents/internal/testhost"
)

// TestGet_MisbehavingServers_Reason runs every kind of server through one fetch.
func TestGet_MisbehavingServers_Reason(t *testing.T) {
	get := func(w http.ResponseWriter, from int) { part(w, from, len(thing), true) }
	for _, c := range []struct {
		name   string
		script script
		want   Reason // "" for the thing itself
		status int
		most   int64 // requests at most; 0: one
	}{
		{name: "well-behaved", script: func(w http.ResponseWriter, r *http.Request, n, from int) { get(w, from) }},
		{name: "net/http's own file server", most: 1, script: func(w http.ResponseWriter, r *http.Request, n, from int) {
			http.ServeContent(w, r, "x.tar.gz", time.Unix(1409452800, 0), bytes.NewReader(thing))
		}},
		{name: "chunked", script: func(w http.ResponseWriter, r *http.Request, n, from int) {
			for i := 0; i < len(thing); i += 10000 {
				w.Write(thing[i:min(len(thing), i+10000)])
				http.NewResponseController(w).Flush()
			}
		}},
		{name: "cuts every 4 kB", most: 80, script: func(w http.ResponseWriter, r *http.Request, n, from int) {
			part(w, from, min(len(thing), from+4096), true)
		}},
		{name: "cuts every 4 kB, dates instead of tags", most: 80, script: func(w http.ResponseWriter, r *http.Request, n, from int) {
			w.Header().Set("Last-Modified", "Sun, 31 Aug 2014 02:42:58 GMT")
			part(w, from, min(len(thing), from+4096), false)
		}},
		{name: "cuts and cannot resume", script: func(w http.ResponseWriter, r *http.Request, n, from int) {
			part(w, 0, 50_000, false)
		}, want: Unreachable},
		{name: "cuts and has weak tags only", script: func(w http.ResponseWriter, r *http.Request, n, from int) {
			w.Header().Set("ETag", `W/"v1"`)
			part(w, from, 50_000, false)
		}, want: Unreachable},
		{name: "cuts always at the same place", most: 2, script: func(w http.ResponseWriter, r *http.Request, n, from int) {
			part(w, from, max(from, 50_000), true)
		}, want: Unreachable},
		{name: "cuts, then answers 200 with all", most: 2, script: func(w http.ResponseWriter, r *http.Request, n, from int) {
			if n == 0 {
				part(w, 0, 50_000, true)
			}
			get(w, 0)
		}},
		{name: "promises too much", most: 2, script: func(w http.ResponseWriter, r *http.Request, n, from int) {
			w.Header().Set("ETag", `"v1"`)
			w.Header().Set("Content-Length", strconv.Itoa(len(thing)+100-from))
			if from > 0 {
				w.Header().Set("Content-Range", fmt.Sprintf("bytes %d-%d/%d", from, len(thing)+99, len(thing)+100))
				w.WriteHeader(http.StatusPartialContent)
			}
			w.Write(thing[from:])
		}, want: Unreachable},
		{name: "wrong part", most: 2, script: func(w http.ResponseWriter, r *http.Request, n, from int) {
			if n > 0 {
				w.Header().Set("Content-Range", fmt.Sprintf("bytes %d-%d/%d", from+1, len(thing)-1, len(thing)))
				w.WriteHeader(http.StatusPartialContent)
				return
			}
			part(w, 0, 50_000, true)
		}, want: BadResponse},
		{name: "part of another size", most: 2, script: func(w http.ResponseWriter, r *http.Request, n, from int) {
			if n > 0 {
				w.Header().Set("Content-Range", fmt.Sprintf("bytes %d-%d/%d", from, len(thing), len(thing)+1))
				w.WriteHeader(http.StatusPartialContent)
				return
			}
			part(w, 0, 50_000, true)
		}, want: BadResponse},
		{name: "part under another tag", most: 2, script: func(w http.ResponseWriter, r *http.Request, n, from int) {
			if n > 0 {
				w.Header().Set("ETag", `"v2"`)
				w.Header().Set("Content-Range", fmt.Sprintf("bytes %d-%d/%d", from, len(thing)-1, len(thing)))
				w.WriteHeader(http.StatusPartialContent)
				return
			}
			part(w, 0, 50_000, true)
		}, want: BadResponse},
		{name: "garbage for a range", most: 2, script: func(w http.ResponseWriter, r *http.Request, n, from int) {
			if n > 0 {
				w.Header().Set("Content-Range", "bytes all of them")
				w.WriteHeader(http.StatusPartialContent)
				return
			}
			part(w, 0, 50_000, true)
		}, want: BadResponse},
		{name: "206 unasked", script: func(w http.ResponseWriter, r *http.Request, n, from int) {
			w.Header().Set("Content-Range", fmt.Sprintf("bytes 0-%d/%d", len(thing)-1, len(thing)))
			w.WriteHeader(http.StatusPartialContent)
		}, want: BadResponse},
		{name: "forgets ranges in the middle", most: 3, script: func(w http.ResponseWriter, r *http.Request, n, from int) {
			if n == 1 {
				w.WriteHeader(http.StatusRequestedRangeNotSatisfiable)
				return
			}
			part(w, from, map[int]int{0: 50_000, 2: len(thing)}[n], true)
		}},
		{name: "compresses", script: func(w http.ResponseWriter, r *http.Request, n, from int) {
			w.Header().Set("Content-Encoding", "gzip")
			get(w, 0)
		}, want: BadResponse},
		{name: "too big by its own word", script: func(w http.ResponseWriter, r *http.Request, n, from int) {
			w.Header().Set("Content-Length", "1048577")
			w.WriteHeader(http.StatusOK)
		}, want: TooBig},
		{name: "too big without a word", script: func(w http.ResponseWriter, r *http.Request, n, from int) {
			for range 5 {
				w.Write(thing)
			}
		}, want: TooBig},
		{name: "404", script: status(404), want: NotFound, status: 404},
		{name: "410", script: status(410), want: NotFound, status: 410},
		{name: "401", script: status(401), want: Refused, status: 401},
		{name: "403", script: status(403), want: Refused, status: 403},
		{name: "429", script: status(429), want: Unreachable, status: 429},
		{name: "500", script: status(500), want: Unreachable, status: 500},
		{name: "503", script: status(503), want: Unreachable, status: 503},
		{name: "204", script: status(204), want: BadResponse, status: 204},
		{name: "304 unasked", script: status(304), want: BadResponse, status: 304},
		{name: "416 unasked", script: status(416), want: BadResponse, status: 416},
		{name: "five redirects", most: 6, script: func(w http.ResponseWriter, r *http.Request, n, from int) {
			if n < 5 {
				http.Redirect(w, r, fmt.Sprint("/", n), 302)
				return
			}
			get(w, from)
		}},
		{name: "six redirects", most: 6, script: func(w http.ResponseWriter, r *http.Request, n, from int) {
			http.Redirect(w, r, fmt.Sprint("/", n), 302)
		}, want: BadRedirect},
		{name: "redirects in a circle", most: 2, script: func(w http.ResponseWriter, r *http.Request, n, from int) {
			http.Redirect(w, r, "/again", 302)
		}, want: BadRedirect},
		{name: "redirects to a file", script: func(w http.ResponseWriter, r *http.Request, n, from int) {
			http.Redirect(w, r, "file:///etc/passwd", 302)
		}, want: BadRedirect},
		{name: "redirects to nonsense", script: func(w http.ResponseWriter, r *http.Request, n, from int) {
			w.Header().Set("Location", "http://secret:secret@[bad/?secret")
			w.WriteHeader(302)
		}, want: BadRedirect},
		{name: "says nothing", script: func(w http.ResponseWriter, r *http.Request, n, from int) {
			<-r.Context().Done()
		}, want: Stalled},
		{name: "falls silent", script: func(w http.ResponseWriter, r *http.Request, n, from int) {
			w.Write(thing[:1000])
			http.NewResponseController(w).Flush()
			<-r.Context().Done()
		}, want: Stalled},
		{name: "one byte at a time", script: func(w http.ResponseWriter, r *http.Request, n, from int) {
			for i := 0; r.Context().Err() == nil; i++ {
				w.Write(thing[i : i+1])
				http.NewResponseController(w).Flush()
				time.Sleep(10 * time.Millisecond)
			}
		}, want: Stalled},
		{name: "is not HTTP", script: func(w http.ResponseWriter, r *http.Request, n, from int) {
			conn, _, _ := http.NewResponseController(w).Hijack()
			io.WriteString(conn, "SSH-2.0-OpenSSH_9.2\r\n")
			conn.Close()
		}, want: Unreachable},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			srv, count := serve(t, c.script)
			address := strings.Replace(srv.URL, "://", "://user:secret@", 1) + "/slug.tar.gz?token=secret"
			req := Request{URL: address, Partial: filepath.Join(t.TempDir(), "part"), MaxBytes: 1 << 20, Stall: testhost.HangLimit, RateOver: testhost.HangLimit, MinRate: 10_000}
			if c.want == Stalled { // only who is to be too slow has little time
				req.Stall, req.RateOver = 400*time.Millisecond, 600*time.Millisecond
			}
			f, err := Get(t.Context(), req)
			check(t, f, err, c.want, c.status)
			if most := max(c.most, 1); count.Load() > most {
				t.Errorf("%d requests, at most %d are due", count.Load(), most)
			}
		})
	}
}

func TestSmall(t *testing.T) {
	srv, _ := serve(t, func(w http.ResponseWriter, r *http.Request, n, from int) {
		if r.URL.Path == "/gone" {
			w.WriteHeader(404)
			return
		}
		w.Write(thing[:1000])
	})
	file := filepath.Join(t.TempDir(), "f")
	must(t, os.WriteFile(file, thing[:1000], 0o644))
	for _, address := range []string{srv.URL, file} {
		data, err := Small(t.Context(), Request{URL: address}, 1000)
		if err != nil || !bytes.Equal(data, thing[:1000]) {
			t.Errorf("%s: %d bytes, %v", address, len(data), err)
		}
		if _, err := Small(t.Context(), Request{URL: address}, 999); ReasonOf(err) != TooBig {
			t.Errorf("%s: got %v", address, err)
		}
		if _, err := Small(t.Context(), Request{URL: strings.TrimSuffix(address, "/f") + "/gone"}, 999); ReasonOf(err) != NotFound {
			t.Errorf("%s: got %v", address, err)
		}
	}
}
