package worker

import (
	"encoding/json"
	"fmt"
	"net"
	"net/http"
	"path"
	"reflect"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/platypus-platform/platypus/agents/seed-placer/blob"
	"github.com/platypus-platform/platypus/agents/seed-placer/wire"
	"github.com/platypus-platform/platypus/intent"
)

// maxManifest limits the manifest of a site, in bytes.
const maxManifest = 32 << 20

// sites are the static sites of the node.
type sites struct {
	mu     sync.RWMutex
	blobs  *blob.Store
	peers  *peers           // asked for missing files; nil for none
	byName map[string]*site // by name
	byHost map[string]*site
}

type site struct {
	wire.Site
	files   map[string]intent.File
	problem string
}

// set replaces the sites. A site with an unreadable manifest is kept without files.
func (s *sites) set(wanted []wire.Site, blobs *blob.Store) {
	byName, byHost := map[string]*site{}, map[string]*site{}
	for _, w := range wanted {
		opened := reopen(s.find(w.Name), w, blobs)
		byName[w.Name] = opened
		for _, host := range append([]string{w.Name}, w.Site.Hosts...) {
			if host = strings.ToLower(host); byHost[host] == nil {
				byHost[host] = opened
			}
		}
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.blobs, s.byName, s.byHost = blobs, byName, byHost
}

// reopen returns a site as it must be served now. It does not read a manifest again that was read already.
func reopen(before *site, now wire.Site, blobs *blob.Store) *site {
	if before == nil || before.problem != "" || before.Site.Site.Digest() != now.Site.Digest() {
		return openSite(now, blobs)
	}
	if reflect.DeepEqual(before.Site, now) {
		return before
	}
	return &site{Site: now, files: before.files}
}

func (s *sites) find(name string) *site {
	s.mu.RLock()
	defer s.mu.RUnlock()
	return s.byName[name]
}

func openSite(w wire.Site, blobs *blob.Store) *site {
	one := &site{Site: w}
	data, err := blobs.Read(w.Site.Digest(), maxManifest)
	var m intent.Manifest
	if err == nil {
		err = json.Unmarshal(data, &m)
	}
	if err != nil {
		one.problem = err.Error()
		return one
	}
	one.files = m.Files
	return one
}

func (s *sites) problems() map[string]string {
	s.mu.RLock()
	defer s.mu.RUnlock()
	all := map[string]string{}
	for name, one := range s.byName {
		all[name] = one.problem
	}
	return all
}

// requestHost returns the host of a request in lower case, without port and trailing dot.
func requestHost(r *http.Request) string {
	host := r.Host
	if h, _, err := net.SplitHostPort(host); err == nil {
		host = h
	}
	return strings.TrimSuffix(strings.ToLower(host), ".")
}

func (s *sites) serve(rw http.ResponseWriter, r *http.Request) {
	s.mu.RLock()
	one := s.byHost[requestHost(r)]
	s.mu.RUnlock()
	rw.Header()["X-Content-Type-Options"] = noSniff
	switch {
	case one == nil:
		http.Error(rw, "404 nothing is served here under this name", http.StatusNotFound)
	case r.Method != http.MethodGet && r.Method != http.MethodHead:
		rw.Header().Set("Allow", "GET, HEAD")
		http.Error(rw, "405 a site is only read", http.StatusMethodNotAllowed)
	case one.problem != "" && s.peers.sendSite(rw, r, one.Peers):
	case one.problem != "":
		rw.Header().Set("Retry-After", "1")
		http.Error(rw, "503 the site is not here yet", http.StatusServiceUnavailable)
	default:
		one.serve(rw, r, s)
	}
}

// serve looks the path up in the manifest. The path is a key and never joined to a directory, so undeclared files
// cannot be reached.
func (s *site) serve(rw http.ResponseWriter, r *http.Request, from *sites) {
	at := r.URL.Path
	if to, ok := s.Site.Site.Redirects[at]; ok {
		http.Redirect(rw, r, to, http.StatusFound)
		return
	}
	file, ok := s.files[at]
	if !ok && strings.HasSuffix(at, "/") {
		file, ok = s.files[at+"index.html"]
	}
	if _, folder := s.files[at+"/index.html"]; !ok && folder && path.Clean(at) == at {
		to := at + "/"
		if r.URL.RawQuery != "" {
			to += "?" + r.URL.RawQuery
		}
		http.Redirect(rw, r, to, http.StatusMovedPermanently)
		return
	}
	status := http.StatusOK
	if !ok {
		file, status, ok = s.fallbackPage()
	}
	if !ok {
		http.Error(rw, "404 there is no such page", http.StatusNotFound)
		return
	}
	s.send(rw, r, from, file, status)
}

// fallbackPage returns the file for a path that the site does not have.
func (s *site) fallbackPage() (file intent.File, status int, ok bool) {
	if page := s.Site.Site.Fallback; page != "" {
		if file, ok = s.files[page]; !ok {
			file, ok = s.files[strings.TrimSuffix(page, "/")+"/index.html"]
		}
		return file, http.StatusOK, ok
	}
	page := s.Site.Site.NotFound
	if page == "" {
		page = "/404.html"
	}
	file, ok = s.files[page]
	return file, http.StatusNotFound, ok
}

// send sends a file from this node, or from a peer that holds it.
func (s *site) send(rw http.ResponseWriter, r *http.Request, from *sites, file intent.File, status int) {
	h := rw.Header()
	h.Set("Content-Type", file.Type)
	h.Set("Cache-Control", fmt.Sprintf("max-age=%d", int(time.Duration(s.Site.Site.MaxAge).Seconds())))
	digest := file.SHA256
	if file.Gzip != "" {
		h.Add("Vary", "Accept-Encoding")
		if acceptsGzip(r) {
			digest = file.Gzip
			h.Set("Content-Encoding", "gzip")
		}
	}
	h.Set("ETag", strconv.Quote(digest))
	if status != http.StatusOK {
		r = r.Clone(r.Context()) // a 404 page has no ranges and is never "not modified"
		for _, name := range []string{"Range", "If-None-Match", "If-Match", "If-Range", "If-Modified-Since"} {
			r.Header.Del(name)
		}
		rw = &fixedStatus{rw, status}
	}
	content, err := from.blobs.Open(digest)
	if err == nil {
		defer content.Close()
		http.ServeContent(rw, r, "", time.Time{}, content)
		return
	}
	if from.peers.sendBlob(rw, r, s.Peers, digest) {
		return
	}
	h.Del("ETag")
	h.Del("Content-Encoding")
	h.Set("Retry-After", "1")
	if fixed, ok := rw.(*fixedStatus); ok {
		rw = fixed.ResponseWriter
	}
	http.Error(rw, "503 this page is not here yet", http.StatusServiceUnavailable)
}

// fixedStatus overrides the status of a response.
type fixedStatus struct {
	http.ResponseWriter
	status int
}

// WriteHeader implements http.ResponseWriter.
func (f *fixedStatus) WriteHeader(int) { f.ResponseWriter.WriteHeader(f.status) }

func acceptsGzip(r *http.Request) bool {
	for _, part := range strings.Split(r.Header.Get("Accept-Encoding"), ",") {
		coding, weight, _ := strings.Cut(strings.TrimSpace(part), ";")
		if coding == "gzip" {
			q, err := strconv.ParseFloat(strings.TrimPrefix(strings.TrimSpace(weight), "q="), 64)
			return weight == "" || err == nil && q > 0
		}
	}
	return false
}

// serveBlob sends a blob or a range of it. Knowing the digest is the permission.
func (w *Worker) serveBlob(rw http.ResponseWriter, r *http.Request, digest string) {
	if r.Method != http.MethodGet && r.Method != http.MethodHead {
		rw.Header().Set("Allow", "GET, HEAD, PUT")
		http.Error(rw, "405 a blob is only read and put", http.StatusMethodNotAllowed)
		return
	}
	digest = strings.TrimPrefix(digest, "sha256:")
	content, err := w.blobs.Open(digest)
	if err != nil {
		http.Error(rw, "404 this node does not hold the blob", http.StatusNotFound)
		return
	}
	defer content.Close()
	h := rw.Header()
	h.Set("Content-Type", "application/octet-stream")
	h["X-Content-Type-Options"] = noSniff
	h.Set("ETag", strconv.Quote(digest))
	http.ServeContent(rw, r, "", time.Time{}, content)
}
