package embedded_test

import (
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"

	"github.com/platypus-platform/platypus/store/embedded"
)

// ask sends a request directly to a handler, with any path and query.
func ask(s *embedded.Store, method, path, query, body string) *httptest.ResponseRecorder {
	r := httptest.NewRequest(method, "/", strings.NewReader(body))
	r.URL = &url.URL{Path: path, RawQuery: query}
	w := httptest.NewRecorder()
	s.Handler().ServeHTTP(w, r)
	return w
}

// FuzzQuery: no path or query makes the store panic, send invalid HTTP or report a false success.
func FuzzQuery(f *testing.F) {
	for _, seed := range []string{"", "recurse", "keys&separator=/", "raw", "cas=0", "flags=1&acquire=x", "index=1&wait=1ns", "stale&consistent", "%zz", "pretty&dc=dc1", "wait=-1s&index=18446744073709551615"} {
		f.Add(0, "a/b", seed)
		f.Add(1, "a/../b", seed)
		f.Add(2, "", seed)
	}
	s, err := embedded.Open(f.TempDir(), embedded.Options{Node: "n1"})
	if err != nil {
		f.Fatal(err)
	}
	f.Cleanup(func() { _ = s.Close() })
	f.Fuzz(func(t *testing.T, method int, key, query string) {
		if values, err := url.ParseQuery(query); err == nil && values.Has("index") {
			query += "&wait=1ns" // The first wait parameter counts; skip slow ones.
			if wait := values.Get("wait"); wait != "" && wait != "1ns" {
				return
			}
		}
		methods := []string{"GET", "PUT", "DELETE"}
		w := ask(s, methods[uint(method)%3], "/v1/kv/"+key, query, "v")
		if w.Code < 200 || w.Code > 500 {
			t.Errorf("status %d", w.Code)
		}
	})
}

// FuzzTxn: no body makes a transaction panic or be applied partly.
func FuzzTxn(f *testing.F) {
	for _, seed := range []string{"[]", "null", `[{"KV":{"Verb":"set","Key":"a","Value":"MQ=="}}]`, `[{"KV":{"Verb":"cas","Key":"a","Index":1}},{"KV":null},{}]`,
		`[{"KV":{"Verb":"delete-tree","Key":""}}]`, `[{"KV":{"Verb":"set","Key":"../x"}}]`, `[{"Node":{}}]`, `{"a":`} {
		f.Add(seed)
	}
	s, err := embedded.Open(f.TempDir(), embedded.Options{Node: "n1"})
	if err != nil {
		f.Fatal(err)
	}
	f.Cleanup(func() { _ = s.Close() })
	f.Fuzz(func(t *testing.T, body string) {
		before := ask(s, "GET", "/v1/kv/", "recurse", "").Body.String()
		w := ask(s, "PUT", "/v1/txn", "", body)
		if w.Code != 200 && ask(s, "GET", "/v1/kv/", "recurse", "").Body.String() != before {
			t.Errorf("answered %d %q and changed something", w.Code, w.Body)
		}
	})
}
