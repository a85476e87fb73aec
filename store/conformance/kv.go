package conformance

import (
	"fmt"
	"strings"
	"testing"
)

func testKV(t *testing.T, s *server) {
	t.Run("read and write", s.readAndWrite)
	t.Run("lists", s.lists)
	t.Run("check and set", s.checkAndSet)
	t.Run("delete", s.deletes)
	t.Run("sizes", s.sizes)
	t.Run("odd keys", s.oddKeys)
}

func (s *server) readAndWrite(t *testing.T) {
	missing := s.kv(t, "GET", "a", "")
	missing.is(t, 404, "")
	s.headers(t, missing)
	s.kv(t, "PUT", "a?flags=18446744073709551615", "x<\x00").is(t, 200, "true")
	got := s.kv(t, "GET", "a", "")
	s.headers(t, got)
	p := s.one(t, "a")
	want := fmt.Sprintf(`[{"LockIndex":0,"Key":%q,"Flags":18446744073709551615,"Value":"eDwA","CreateIndex":%d,"ModifyIndex":%d}]`,
		s.prefix+"a", p.CreateIndex, p.ModifyIndex)
	got.is(t, 200, want)
	if p.CreateIndex != p.ModifyIndex || got.index != p.ModifyIndex {
		t.Errorf("new key: create %d, modify %d, header %d", p.CreateIndex, p.ModifyIndex, got.index)
	}
	if kind := got.header.Get("Content-Type"); kind != "application/json" {
		t.Errorf("content type %q", kind)
	}
	s.kv(t, "PUT", "a", "").is(t, 200, "true")
	s.kv(t, "GET", "a", "").says(t, 200, `"Flags":0,"Value":null,`)
	pretty := s.kv(t, "GET", "a?pretty", "")
	pretty.says(t, 200, "[\n    {\n        \"LockIndex\": 0,\n")
	if !strings.HasSuffix(pretty.body, "]\n") {
		t.Errorf("pretty ends in %q", pretty.body)
	}
	s.put(t, "a", "raw value")
	raw := s.kv(t, "GET", "a?raw", "")
	raw.is(t, 200, "raw value")
	for name, want := range map[string]string{"Content-Type": "text/plain", "X-Content-Type-Options": "nosniff", "Content-Security-Policy": "sandbox"} {
		if raw.header.Get(name) != want {
			t.Errorf("raw: %s is %q, want %q", name, raw.header.Get(name), want)
		}
	}
	s.headers(t, raw)
	for _, mode := range []string{"consistent", "stale", "consistent=", "default"} {
		if got := s.kv(t, "GET", "a?"+mode, ""); got.code != 200 {
			t.Errorf("%s: %d", mode, got.code)
		}
	}
}

// headers demands what clients read before they trust an answer.
func (s *server) headers(t *testing.T, a answer) {
	t.Helper()
	if a.index == 0 {
		t.Errorf("index is %q", a.header.Get("X-Consul-Index"))
	}
	if got := a.header.Get("X-Consul-KnownLeader"); got != "true" {
		t.Errorf("known leader is %q", got)
	}
	if got := a.header.Get("X-Consul-LastContact"); got != "0" {
		t.Errorf("last contact is %q", got)
	}
}

func (s *server) lists(t *testing.T) {
	for _, key := range []string{"l/web1/a", "l/web1/b/c", "l/web1/b/d", "l/web10/a", "l/x", "l"} {
		s.put(t, key, key)
	}
	var keys []string
	for _, p := range s.kv(t, "GET", "l/web1?recurse", "").pairs(t) {
		keys = append(keys, strings.TrimPrefix(p.Key, s.prefix))
	}
	if got := strings.Join(keys, " "); got != "l/web1/a l/web1/b/c l/web1/b/d l/web10/a" {
		t.Errorf("recurse is bytewise and in order: %s", got)
	}
	for query, want := range map[string]string{
		"l?keys":                       "l l/web1/a l/web1/b/c l/web1/b/d l/web10/a l/x",
		"l/?keys&separator=/":          "l/web1/ l/web10/ l/x",
		"l/web1/?keys&seperator=/":     "l/web1/a l/web1/b/",
		"l/?keys&separator=b/":         "l/web1/a l/web1/b/ l/web10/a l/x",
		"l/web1/b?keys&separator=/":    "l/web1/b/",
		"l/?keys&recurse&separator=zz": "l/web1/a l/web1/b/c l/web1/b/d l/web10/a l/x",
	} {
		if got := s.names(t, s.kv(t, "GET", query, "")); got != want {
			t.Errorf("%s: %s, want %s", query, got, want)
		}
	}
	none := s.kv(t, "GET", "none?recurse", "")
	none.is(t, 404, "")
	s.headers(t, none)
	s.kv(t, "GET", "none?keys", "").is(t, 404, "")
	s.do(t, "GET", "/v1/kv/?keys&separator=/", "").says(t, 200, `"conformance/"`)
}

func (s *server) checkAndSet(t *testing.T) {
	s.kv(t, "PUT", "c?cas=7", "x").is(t, 200, "false")
	s.kv(t, "PUT", "c?cas=0", "x").is(t, 200, "true")
	s.kv(t, "PUT", "c?cas=0", "y").is(t, 200, "false")
	p := s.one(t, "c")
	s.kv(t, "PUT", fmt.Sprintf("c?cas=%d", p.ModifyIndex+1), "y").is(t, 200, "false")
	s.kv(t, "PUT", fmt.Sprintf("c?cas=%d", p.ModifyIndex), "y").is(t, 200, "true")
	q := s.one(t, "c")
	if string(q.Value) != "y" || q.CreateIndex != p.CreateIndex || q.ModifyIndex <= p.ModifyIndex {
		t.Errorf("after check and set: %+v, before: %+v", q, p)
	}
	s.kv(t, "DELETE", fmt.Sprintf("c?cas=%d", p.ModifyIndex), "").is(t, 200, "false")
	s.kv(t, "DELETE", "c?cas=0", "").is(t, 200, "false")
	s.kv(t, "DELETE", fmt.Sprintf("c?cas=%d", q.ModifyIndex), "").is(t, 200, "true")
	s.kv(t, "DELETE", "c?cas=0", "").is(t, 200, "true")
	s.kv(t, "DELETE", "c?cas=99", "").is(t, 200, "true")
	s.put(t, "c", "z")
	if r := s.one(t, "c"); r.CreateIndex <= q.ModifyIndex {
		t.Errorf("made again at %d, deleted after %d", r.CreateIndex, q.ModifyIndex)
	}
}

func (s *server) deletes(t *testing.T) {
	for _, key := range []string{"d/a", "d/b", "d/b/c", "dd"} {
		s.put(t, key, key)
	}
	s.kv(t, "DELETE", "d/none", "").is(t, 200, "true")
	s.kv(t, "DELETE", "d/b", "").is(t, 200, "true")
	if got := s.names(t, s.kv(t, "GET", "d?keys", "")); got != "d/a d/b/c dd" {
		t.Errorf("after delete: %s", got)
	}
	s.kv(t, "DELETE", "d/?recurse", "").is(t, 200, "true")
	if got := s.names(t, s.kv(t, "GET", "d?keys", "")); got != "dd" {
		t.Errorf("after recursive delete: %s", got)
	}
}

func (s *server) sizes(t *testing.T) {
	full := strings.Repeat("v", 512<<10)
	s.kv(t, "PUT", "big", full).is(t, 200, "true")
	s.kv(t, "GET", "big?raw", "").is(t, 200, full)
	s.kv(t, "PUT", "big", full+"v").says(t, 413, "Request body(524289 bytes) too large, max size: 524288 bytes.")
	s.kv(t, "GET", "big?raw", "").is(t, 200, full)
}

func (s *server) oddKeys(t *testing.T) {
	for path, key := range map[string]string{
		"o/sp%20ace": "o/sp ace", "o/%C3%BC": "o/ü", "o/a%2Fb": "o/a/b", "o/a+b": "o/a+b", "o/%25": "o/%", "o/a:b": "o/a:b", "o/t/": "o/t/",
	} {
		s.kv(t, "PUT", path, key).is(t, 200, "true")
		if p := s.one(t, path); p.Key != s.prefix+key || string(p.Value) != key {
			t.Errorf("%s: stored as %q", path, p.Key)
		}
	}
	// Paths that mean another path are sent there and write nothing here.
	s.http.CheckRedirect = noRedirect
	defer func() { s.http.CheckRedirect = nil }()
	for _, path := range []string{"o//b", "o/../b", "o/./b"} {
		a := s.kv(t, "PUT", path, "x")
		if a.code != 307 && a.code != 301 {
			t.Errorf("%s: %d, want a redirect", path, a.code)
		}
	}
	s.kv(t, "PUT", "o/%01", "x").is(t, 400, "")
}
