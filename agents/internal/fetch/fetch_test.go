package fetch

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/platypus-platform/platypus/agents/internal/testhost"
)

// thing is what the servers below serve, well or badly.
var thing = func() []byte {
	r := rand.New(rand.NewPCG(3, 4))
	b := make([]byte, 300<<10)
	for i := range b {
		b[i] = byte(r.Uint32())
	}
	return b
}()

func digest(b []byte) string {
	sum := sha256.Sum256(b)
	return hex.EncodeToString(sum[:])
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// script is a server's behaviour. n counts the requests from 0; from is where the client wants to start.
type script func(w http.ResponseWriter, r *http.Request, n, from int)

func serve(t *testing.T, s script) (*httptest.Server, *atomic.Int64) {
	var count atomic.Int64
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		from := 0
		if v, ok := strings.CutPrefix(r.Header.Get("Range"), "bytes="); ok {
			from, _ = strconv.Atoi(strings.TrimSuffix(v, "-"))
		}
		s(w, r, int(count.Add(1)-1), from)
	}))
	t.Cleanup(srv.Close)
	return srv, &count
}

// part answers from, promising all and sending until; hasTag lets the client resume.
func part(w http.ResponseWriter, from, until int, hasTag bool) {
	if hasTag {
		w.Header().Set("ETag", `"v1"`)
	}
	w.Header().Set("Content-Length", strconv.Itoa(len(thing)-from))
	if from > 0 {
		w.Header().Set("Content-Range", fmt.Sprintf("bytes %d-%d/%d", from, len(thing)-1, len(thing)))
		w.WriteHeader(http.StatusPartialContent)
	}
	w.Write(thing[from:until])
	if until < len(thing) {
		cut(w)
	}
}

// cut flushes and breaks the connection.
func cut(w http.ResponseWriter) {
	http.NewResponseController(w).Flush()
	panic(http.ErrAbortHandler)
}

func status(code int) script {
	return func(w http.ResponseWriter, r *http.Request, n, from int) { w.WriteHeader(code) }
}

func check(t *testing.T, f *File, err error, want Reason, status int) {
	t.Helper()
	if want == "" {
		must(t, err)
		defer f.Close()
		data, err := io.ReadAll(f)
		must(t, err)
		if !bytes.Equal(data, thing) || f.SHA256 != digest(thing) || f.Size != int64(len(thing)) {
			t.Errorf("%d bytes with digest %s, size %d", len(data), f.SHA256, f.Size)
		}
		return
	}
	var e *Error
	if !errors.As(err, &e) || e.Reason != want || e.Status != status {
		t.Fatalf("got %v, want %s with status %d", err, want, status)
	}
	if strings.Contains(err.Error(), "secret") || strings.Contains(err.Error(), "user") {
		t.Errorf("credentials in %q", err)
	}
}

// TestGet_CutTransfer_ResumesAfterRestart cuts a fetch for good, and shows that the next one asks only for the rest,
// unless the content or the address has changed or the state is damaged.
func TestGet_CutTransfer_ResumesAfterRestart(t *testing.T) {
	for _, c := range []struct {
		name    string
		between func(t *testing.T, partial string)
		path    string
		resumed bool
	}{
		{"undisturbed", func(*testing.T, string) {}, "/a", true},
		{"another address", func(*testing.T, string) {}, "/b", false},
		{"state lost", func(t *testing.T, p string) { must(t, os.Remove(p+".json")) }, "/a", false},
		{"state damaged", func(t *testing.T, p string) { must(t, os.WriteFile(p+".json", []byte("{"), 0o600)) }, "/a", false},
		{"content grown", func(t *testing.T, p string) { must(t, os.Truncate(p, int64(len(thing)+1))) }, "/a", false},
		{"content gone", func(t *testing.T, p string) { must(t, os.Remove(p)) }, "/a", false},
	} {
		t.Run(c.name, func(t *testing.T) {
			first := -1
			srv, _ := serve(t, func(w http.ResponseWriter, r *http.Request, n, from int) {
				switch {
				case n == 0:
					part(w, 0, 200_000, true)
				case n == 1:
					w.WriteHeader(http.StatusServiceUnavailable)
				case n == 2:
					first = from
					fallthrough
				default:
					part(w, from, len(thing), true)
				}
			})
			req := Request{URL: srv.URL + "/a", Partial: filepath.Join(t.TempDir(), "part")}
			if _, err := Get(t.Context(), req); ReasonOf(err) != Unreachable {
				t.Fatalf("got %v", err)
			}
			c.between(t, req.Partial)
			req.URL = srv.URL + c.path
			var done, total int64
			req.Progress = func(d, n int64) { done, total = d, n }
			f, err := Get(t.Context(), req)
			check(t, f, err, "", 0)
			if resumed := first > 0; resumed != c.resumed || done != int64(len(thing)) || total != done {
				t.Errorf("asked from byte %d, progress ended at %d of %d", first, done, total)
			}
			must(t, Discard(req.Partial))
			must(t, Discard(req.Partial))
			left, _ := filepath.Glob(req.Partial + "*")
			if len(left) > 0 {
				t.Errorf("left behind: %v", left)
			}
		})
	}
}

func TestGet_PartialComplete_NeedsNoBody(t *testing.T) {
	srv, count := serve(t, func(w http.ResponseWriter, r *http.Request, n, from int) {
		w.Header().Set("ETag", `"v1"`)
		http.ServeContent(w, r, "x", time.Time{}, bytes.NewReader(thing))
	})
	req := Request{URL: srv.URL, Partial: filepath.Join(t.TempDir(), "part")}
	for range 2 {
		f, err := Get(t.Context(), req)
		check(t, f, err, "", 0)
	}
	if count.Load() != 2 {
		t.Errorf("%d requests", count.Load())
	}
}

func TestGet_ContentChanged_StartsOver(t *testing.T) {
	srv, _ := serve(t, func(w http.ResponseWriter, r *http.Request, n, from int) {
		if n == 0 {
			part(w, 0, 50_000, true)
		}
		w.Header().Set("ETag", `"v2"`)
		http.ServeContent(w, r, "x", time.Time{}, bytes.NewReader(thing[:100_000]))
	})
	f, err := Get(t.Context(), Request{URL: srv.URL, Partial: filepath.Join(t.TempDir(), "part")})
	must(t, err)
	defer f.Close()
	if f.Size != 100_000 || f.SHA256 != digest(thing[:100_000]) {
		t.Errorf("size %d", f.Size)
	}
}

func TestGet_RedirectToHTTP_Refused(t *testing.T) {
	plain, count := serve(t, func(w http.ResponseWriter, r *http.Request, n, from int) { w.Write(thing) })
	srv := httptest.NewTLSServer(http.RedirectHandler(plain.URL, 302))
	defer srv.Close()
	_, err := Get(t.Context(), Request{URL: srv.URL, Partial: filepath.Join(t.TempDir(), "part"), Client: srv.Client()})
	if ReasonOf(err) != BadRedirect || count.Load() != 0 {
		t.Errorf("got %v after %d plain requests", err, count.Load())
	}
}

func TestGet_ProxyEnvironment_Used(t *testing.T) {
	c := newTransfer(Request{}.withDefaults(), nil).client.Transport.(*http.Transport)
	if c.Proxy == nil || !c.DisableCompression {
		t.Error("no proxy function, or transparent compression")
	}
}

func TestGet_ContextEnds_Stops(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	srv, _ := serve(t, func(w http.ResponseWriter, r *http.Request, n, from int) {
		w.Write(thing[:1000])
		http.NewResponseController(w).Flush()
		cancel()
		<-r.Context().Done()
	})
	_, err := Get(ctx, Request{URL: srv.URL, Partial: filepath.Join(t.TempDir(), "part")})
	if !errors.Is(err, context.Canceled) || ReasonOf(err) != "" {
		t.Errorf("got %v", err)
	}
}

func TestGet_NoListener_Unreachable(t *testing.T) {
	address := fmt.Sprintf("http://127.0.0.1:%d/?token=secret", testhost.FreePort(t))
	f, err := Get(t.Context(), Request{URL: address, Partial: filepath.Join(t.TempDir(), "part")})
	check(t, f, err, Unreachable, 0)
}

func TestParse_Addresses(t *testing.T) {
	top := t.TempDir()
	good := filepath.Join(top, "f")
	must(t, os.WriteFile(good, thing, 0o644))
	must(t, os.Symlink("f", filepath.Join(top, "l")))
	must(t, os.Symlink("gone", filepath.Join(top, "dangling")))
	must(t, syscall.Mkfifo(filepath.Join(top, "pipe"), 0o644))
	for _, c := range []struct {
		url  string
		want Reason
	}{
		{"file://" + good, ""}, {"file://localhost" + good, ""}, {good, ""}, {"file://" + top + "/l", ""},
		{"file://host" + good, BadAddress}, {"file:" + "relative", BadAddress}, {"relative/path", BadAddress},
		{"ftp://h/x", BadAddress}, {"http:///x", BadAddress}, {"http://h/%zz?secret", BadAddress}, {"", BadAddress},
		{top + "/gone", NotFound}, {top + "/f/x", NotFound}, {top + "/dangling", NotFound},
		{top, NotRegular}, {top + "/pipe", NotRegular}, {"/dev/null", NotRegular},
	} {
		f, err := Get(t.Context(), Request{URL: c.url})
		if ReasonOf(err) != c.want || (err == nil) != (c.want == "") {
			t.Errorf("%s: got %v, want %q", c.url, err, c.want)
		}
		if err == nil {
			if f.Size != int64(len(thing)) || f.SHA256 != "" {
				t.Errorf("%s: %+v", c.url, f)
			}
			f.Close()
		}
	}
	if _, err := Get(t.Context(), Request{URL: good, MaxBytes: 10}); ReasonOf(err) != TooBig {
		t.Errorf("got %v", err)
	}
}

func TestGet_PartialUnwritable_Disk(t *testing.T) {
	srv, _ := serve(t, func(w http.ResponseWriter, r *http.Request, n, from int) { part(w, from, len(thing), true) })
	dir := t.TempDir()
	must(t, os.Symlink("/nowhere", filepath.Join(dir, "link")))
	for _, p := range []string{filepath.Join(dir, "no/such/dir"), filepath.Join(dir, "link")} {
		if _, err := Get(t.Context(), Request{URL: srv.URL, Partial: p}); ReasonOf(err) != Disk {
			t.Errorf("%s: got %v", p, err)
		}
	}
}

func TestGet_SamePartialTwice_SecondFails(t *testing.T) {
	srv, _ := serve(t, func(w http.ResponseWriter, r *http.Request, n, from int) {
		w.Header().Set("ETag", `"v1"`)
		http.ServeContent(w, r, "x", time.Time{}, bytes.NewReader(thing))
	})
	req := Request{URL: srv.URL, Partial: filepath.Join(t.TempDir(), "part")}
	f, err := Get(t.Context(), req)
	must(t, err)
	if _, err := Get(t.Context(), req); ReasonOf(err) != Disk {
		t.Errorf("got %v", err)
	}
	f.Close()
	f, err = Get(t.Context(), req)
	check(t, f, err, "", 0)
}
