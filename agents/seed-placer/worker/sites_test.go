package worker

import (
	"bytes"
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/platypus-platform/platypus/agents/seed-placer/blob"
	"github.com/platypus-platform/platypus/agents/seed-placer/wire"
	"github.com/platypus-platform/platypus/intent"
)

// serveSite publishes files and returns what serves them under the host docs.
func serveSite(t *testing.T, files map[string]string, change func(*intent.Site, map[string]intent.File)) *sites {
	t.Helper()
	blobs, err := blob.Open(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	keep := func(data []byte) string {
		digest, _, err := blobs.Put(bytes.NewReader(data))
		if err != nil {
			t.Fatal(err)
		}
		return digest
	}
	m := intent.Manifest{Files: map[string]intent.File{}}
	for path, content := range files {
		m.Files[path] = intent.File{SHA256: keep([]byte(content)), Size: int64(len(content)), Type: "text/html; charset=utf-8"}
	}
	site := intent.Site{}
	if change != nil {
		change(&site, m.Files)
	}
	data, err := json.Marshal(m)
	if err != nil {
		t.Fatal(err)
	}
	site.Manifest = "sha256:" + keep(data)
	s := &sites{}
	s.set([]wire.Site{{Name: "docs", Site: site}}, blobs)
	return s
}

func get(s *sites, host, path string, headers ...string) *httptest.ResponseRecorder {
	r := httptest.NewRequest(http.MethodGet, "/", nil)
	r.Host, r.URL.Path = host, path
	for i := 0; i+1 < len(headers); i += 2 {
		r.Header.Set(headers[i], headers[i+1])
	}
	w := httptest.NewRecorder()
	s.serve(w, r)
	return w
}

var pages = map[string]string{"/index.html": "welcome", "/a/index.html": "folder", "/a/page.html": "0123456789", "/404.html": "nothing here"}

func TestSite(t *testing.T) {
	s := serveSite(t, pages, func(site *intent.Site, _ map[string]intent.File) {
		site.Hosts, site.Redirects = []string{"www.example.com"}, map[string]string{"/old": "/a/page.html"}
	})
	for _, c := range []struct {
		host, path string
		status     int
		body       string
	}{
		{"docs", "/", 200, "welcome"},
		{"DOCS:8080", "/", 200, "welcome"},
		{"docs.", "/", 200, "welcome"},
		{"www.Example.com", "/a/", 200, "folder"},
		{"docs", "/a", 301, ""},
		{"docs", "/a/page.html", 200, "0123456789"},
		{"docs", "/old", 302, ""},
		{"docs", "/none", 404, "nothing here"},
		{"docs", "/../../etc/passwd", 404, "nothing here"},
		{"docs", "/a/../index.html", 404, "nothing here"},
		{"docs", "//index.html", 404, "nothing here"},
		{"docs", "/index.html\x00.png", 404, "nothing here"},
		{"docs", "/a/page.html/", 404, "nothing here"},
		{"docs", "/INDEX.html", 404, "nothing here"},
		{"other", "/", 404, "404 nothing is served here under this name\n"},
		{"", "/", 404, "404 nothing is served here under this name\n"},
		{"docs/..", "/", 404, "404 nothing is served here under this name\n"},
	} {
		w := get(s, c.host, c.path)
		if w.Code != c.status || c.body != "" && w.Body.String() != c.body || w.Header().Get("X-Content-Type-Options") != "nosniff" {
			t.Errorf("%s %q: %d %q", c.host, c.path, w.Code, w.Body)
		}
	}
	if to := get(s, "docs", "/a").Header().Get("Location"); to != "/a/" {
		t.Errorf("a folder leads to %s", to)
	}
	for _, method := range []string{http.MethodPost, http.MethodPut, http.MethodDelete} {
		r := httptest.NewRequest(method, "/", strings.NewReader("x"))
		r.Host = "docs"
		w := httptest.NewRecorder()
		if s.serve(w, r); w.Code != http.StatusMethodNotAllowed {
			t.Errorf("%s: %d", method, w.Code)
		}
	}
}

func TestSiteKnowsCachesAndParts(t *testing.T) {
	s := serveSite(t, pages, nil)
	w := get(s, "docs", "/a/page.html")
	tag := w.Header().Get("ETag")
	if w := get(s, "docs", "/a/page.html", "If-None-Match", tag); tag == "" || w.Code != http.StatusNotModified {
		t.Errorf("tag %s: %d", tag, w.Code)
	}
	if w := get(s, "docs", "/a/page.html", "Range", "bytes=2-4"); w.Code != http.StatusPartialContent || w.Body.String() != "234" {
		t.Errorf("%d %q", w.Code, w.Body)
	}
	if w := get(s, "docs", "/a/page.html", "Range", "bytes=99-"); w.Code != http.StatusRequestedRangeNotSatisfiable {
		t.Errorf("%d", w.Code)
	}
	if w := get(s, "docs", "/none", "Range", "bytes=0-1", "If-None-Match", "*"); w.Code != http.StatusNotFound || w.Body.String() != "nothing here" {
		t.Errorf("%d %q", w.Code, w.Body)
	}
}

func TestSinglePageApp(t *testing.T) {
	s := serveSite(t, pages, func(site *intent.Site, _ map[string]intent.File) { site.Fallback = "/" })
	if w := get(s, "docs", "/deep/link"); w.Code != 200 || w.Body.String() != "welcome" {
		t.Errorf("%d %q", w.Code, w.Body)
	}
}

func TestPrecompressed(t *testing.T) {
	s := serveSite(t, pages, func(_ *intent.Site, files map[string]intent.File) {
		f := files["/index.html"]
		f.Gzip = files["/a/page.html"].SHA256 // whatever it holds, it is sent as it is
		files["/index.html"] = f
	})
	for header, packed := range map[string]bool{"": false, "gzip": true, "br, gzip;q=0.5": true, "gzip;q=0": false, "identity": false} {
		w := get(s, "docs", "/", "Accept-Encoding", header)
		if (w.Header().Get("Content-Encoding") == "gzip") != packed || w.Header().Get("Vary") != "Accept-Encoding" || (w.Body.String() == "0123456789") != packed {
			t.Errorf("%q: %v %q", header, w.Header(), w.Body)
		}
	}
}

// TestHalfASite: what is not here yet is 503, and nothing else is served in its place.
func TestHalfASite(t *testing.T) {
	s := serveSite(t, pages, nil)
	digest := s.byName["docs"].files["/index.html"].SHA256
	if err := s.blobs.Remove(digest); err != nil {
		t.Fatal(err)
	}
	if w := get(s, "docs", "/"); w.Code != http.StatusServiceUnavailable || w.Header().Get("Retry-After") == "" {
		t.Errorf("%d %q", w.Code, w.Body)
	}
	if w := get(s, "docs", "/a/"); w.Code != http.StatusOK {
		t.Errorf("its sibling: %d", w.Code)
	}
	s.set([]wire.Site{{Name: "docs", Site: intent.Site{Manifest: "sha256:" + strings.Repeat("0", 64)}}}, s.blobs)
	if w := get(s, "docs", "/a/"); w.Code != http.StatusServiceUnavailable || s.problems()["docs"] == "" {
		t.Errorf("without a manifest: %d, %v", w.Code, s.problems())
	}
}
