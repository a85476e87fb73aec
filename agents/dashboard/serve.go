package main

import (
	"bytes"
	"fmt"
	"hash/fnv"
	"html/template"
	"io"
	"io/fs"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"strings"
	"time"

	"github.com/klauspost/compress/gzhttp"

	"github.com/platypus-platform/platypus/agents/internal/agent"
)

// policy lets the page load nothing but its own style, script and mark, and lets nobody frame it. Text of the store
// that slipped through as markup could still neither run nor call anywhere.
const policy = "default-src 'none'; style-src 'self'; script-src 'self'; img-src 'self'; connect-src 'self'; " +
	"form-action 'self'; base-uri 'none'; frame-ancestors 'none'"

func (s *dashboard) routes() http.Handler {
	mux := http.NewServeMux()
	mux.Handle("GET /{$}", gzhttp.GzipHandler(http.HandlerFunc(s.page)))
	mux.HandleFunc("GET /events", s.events)
	mux.Handle("GET /assets/", gzhttp.GzipHandler(http.HandlerFunc(asset)))
	return mux
}

// secured sets what holds for every answer. A page on the loopback address answers to names of that address alone: else
// any site could let its own name point there, and read the page through the browser of whoever visits it.
func secured(listen string, next http.Handler) http.Handler {
	host, _, err := net.SplitHostPort(listen)
	local := err == nil && loopback(host)
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if local && !loopback(hostOf(r.Host)) {
			http.Error(w, "this page is for this machine alone: open it as http://"+listen+", or give --listen", http.StatusMisdirectedRequest)
			return
		}
		h := w.Header()
		h.Set("Content-Security-Policy", policy)
		h.Set("X-Content-Type-Options", "nosniff")
		h.Set("Referrer-Policy", "no-referrer")
		h.Set("Cross-Origin-Opener-Policy", "same-origin")
		h.Set("Cross-Origin-Resource-Policy", "same-origin")
		next.ServeHTTP(w, r)
	})
}

func hostOf(hostport string) string {
	if host, _, err := net.SplitHostPort(hostport); err == nil {
		return host
	}
	return strings.Trim(hostport, "[]")
}

func loopback(host string) bool {
	ip, err := netip.ParseAddr(host)
	return host == "localhost" || err == nil && ip.IsLoopback()
}

// pageData is what the page template is filled with.
type pageData struct {
	Build, Title, Query, Stream string
	Link                        struct{ State, Words, Index, Trouble string }
	Now                         time.Time
	panels                      []panel
}

// Panel returns a panel by its id.
func (s pageData) Panel(id string) map[string]any {
	for _, p := range s.panels {
		if p.id == id {
			return map[string]any{"ID": p.id, "HTML": p.HTML()}
		}
	}
	return map[string]any{"ID": id, "HTML": template.HTML("")}
}

func (s *dashboard) page(w http.ResponseWriter, r *http.Request) {
	var b bytes.Buffer
	if err := s.write(&b, selected(r)); err != nil {
		http.Error(w, "the page cannot be drawn", http.StatusInternalServerError)
		return
	}
	w.Header().Set("Content-Type", "text/html; charset=utf-8")
	w.Header().Set("Cache-Control", "no-store")
	_, _ = b.WriteTo(w)
}

// write draws the whole page of a selection.
func (s *dashboard) write(w io.Writer, chosen selection) error {
	now := s.current(chosen)
	state, _ := s.status.state(time.Now())
	p := pageData{Build: s.build, Query: chosen.Query, Now: time.Now(), panels: now.panels}
	p.Stream = "/events?" + chosen.query() + "&from=" + url.QueryEscape(now.id)
	for _, part := range []string{string(chosen.Machine), chosen.Region} {
		if part != "" {
			p.Title += part + " · "
		}
	}
	p.Link.State, p.Link.Words, p.Link.Trouble = "page", state.Words, state.problem()
	p.Link.Index = thousands(int64(now.index))
	if state.Up {
		p.Link.Words = "As of now"
	}
	return templates.ExecuteTemplate(w, "page", p)
}

// asset serves what the page is made of. Addresses carry the build, so browsers may keep them.
func asset(w http.ResponseWriter, r *http.Request) {
	name := strings.TrimPrefix(r.URL.Path, "/")
	kind := map[string]string{"css": "text/css; charset=utf-8", "js": "text/javascript; charset=utf-8", "svg": "image/svg+xml"}[name[strings.LastIndexByte(name, '.')+1:]]
	data, err := assets.ReadFile(name)
	if err != nil || kind == "" {
		http.NotFound(w, r)
		return
	}
	w.Header().Set("Content-Type", kind)
	w.Header().Set("Cache-Control", "max-age=86400")
	_, _ = w.Write(data)
}

// buildOf names the program behind a page: a page of another one loads itself anew.
func buildOf() string {
	sum := fnv.New64a()
	sum.Write([]byte(agent.Version))
	_ = fs.WalkDir(assets, ".", func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		data, err := assets.ReadFile(path)
		sum.Write(data)
		return err
	})
	return fmt.Sprintf("%x", sum.Sum64())
}
