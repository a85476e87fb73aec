package conformance

import (
	"net/http"
	"strings"
	"testing"
)

func noRedirect(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }

// testErrors holds the store to Consul's answers to requests that are wrong.
func testErrors(t *testing.T, s *server) {
	for _, c := range []struct {
		method, path string
		code         int
		body         string
	}{
		{"GET", "/v1/kv/", 400, "Missing key name"},
		{"PUT", "/v1/kv/", 400, "Missing key name"},
		{"DELETE", "/v1/kv/", 400, "Missing key name"},
		{"GET", "/v1/kv/a?index=x", 400, "Invalid index"},
		{"GET", "/v1/kv/a?index=-1", 400, "Invalid index"},
		{"GET", "/v1/kv/a?wait=x", 400, "Invalid wait time"},
		{"GET", "/v1/kv/a?wait=5", 400, "Invalid wait time"},
		{"GET", "/v1/kv/a?stale&consistent", 400, "Cannot specify ?stale with ?consistent, conflicting semantics."},
		{"GET", "/v1/kv/a?dc=nowhere", 500, "No path to datacenter"},
		{"PUT", "/v1/kv/a?flags=x", 500, `strconv.ParseUint: parsing "x": invalid syntax`},
		{"PUT", "/v1/kv/a?flags=", 500, `strconv.ParseUint: parsing "": invalid syntax`},
		{"PUT", "/v1/kv/a?cas=-1", 500, `strconv.ParseUint: parsing "-1": invalid syntax`},
		{"PUT", "/v1/kv/a?cas=1&acquire=x", 400, "Conflicting flags: acquire=x&cas=1"},
		{"PUT", "/v1/kv/a?acquire=x&release=x", 400, "Conflicting flags: acquire=x&release=x"},
		{"DELETE", "/v1/kv/a?cas=1&recurse", 400, "Conflicting flags: cas=1&recurse="},
		{"DELETE", "/v1/kv/a?cas=x", 500, `strconv.ParseUint: parsing "x": invalid syntax`},
		{"GET", "/v1/kv/a?x=%zz", 500, ""},
		{"POST", "/v1/kv/a", 405, "method POST not allowed"},
		{"GET", "/v1/txn", 405, "method GET not allowed"},
		{"GET", "/v1/nothing", 404, "Invalid URL path: not a recognized HTTP API endpoint\n"},
		{"GET", "/nothing", 404, "Invalid URL path: if attempting to use the HTTP API, ensure the path starts with '/v1/'\n"},
		{"PUT", "/v1/session/destroy/", 400, "Missing session"},
		{"GET", "/v1/session/info/", 400, "Missing session"},
		{"GET", "/v1/session/node/", 400, "Missing node name"},
		{"GET", "/v1/catalog/service/", 400, "Missing service name"},
		{"GET", "/v1/health/service/", 400, "Missing service name"},
	} {
		s.do(t, c.method, c.path, "").is(t, c.code, c.body)
	}
	if allow := s.do(t, "POST", "/v1/kv/a", "").header.Get("Allow"); allow != "OPTIONS,GET,PUT,DELETE" {
		t.Errorf("allow is %q", allow)
	}
	s.kv(t, "PUT", "a?acquire=nobody", "").says(t, 500, `invalid session "nobody"`)
	s.kv(t, "PUT", "a?acquire=", "").says(t, 500, `missing session`)
	s.do(t, "PUT", "/v1/txn", "nonsense").says(t, 400, "Failed to parse body: ")
	many := "[" + strings.Repeat(`{"KV":{"Verb":"get-or-empty","Key":"a"}},`, 128) + `{"KV":{"Verb":"get-or-empty","Key":"a"}}]`
	s.do(t, "PUT", "/v1/txn", many).is(t, 413, "Transaction contains too many operations (129 > 128)")
	s.do(t, "PUT", "/v1/txn", strings.Repeat(" ", 512<<10+1)).says(t, 413, "Request body(524289 bytes) too large, max size: 524288 bytes.")
}
