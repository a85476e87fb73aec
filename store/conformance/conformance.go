// Package conformance says what a store must do to pass for Consul: one suite of tests that speaks HTTP, and Consul's
// own Go client, to any address. It runs on the embedded store and on a real Consul, so that it is Consul that says
// what is right.
package conformance

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/hashicorp/consul/api"
)

// hang is what no answer takes unless something hangs.
const hang = 2 * time.Minute

// Run runs the suite on the store at addr, host:port. It works below the prefix "conformance/" with sessions and
// services of its own, and takes those away again.
func Run(t *testing.T, addr string) {
	for _, group := range []struct {
		name string
		run  func(*testing.T, *server)
	}{
		{"kv", testKV}, {"errors", testErrors}, {"index", testIndex}, {"block", testBlock}, {"txn", testTxn},
		{"session", testSession}, {"expiry", testExpiry}, {"agent", testAgent}, {"client", testClient},
	} {
		t.Run(group.name, func(t *testing.T) { group.run(t, newServer(t, addr)) })
	}
}

// server is the store under test, and a prefix in it that nothing else uses.
type server struct {
	addr   string
	prefix string
	http   *http.Client
	api    *api.Client
}

func newServer(t *testing.T, addr string) *server {
	client, err := api.NewClient(&api.Config{Address: addr})
	if err != nil {
		t.Fatal(err)
	}
	transport := &http.Transport{}
	s := &server{addr, fmt.Sprintf("conformance/%s/%d/", strings.ToLower(t.Name()), time.Now().UnixNano()),
		&http.Client{Transport: transport}, client}
	t.Cleanup(func() {
		s.do(t, "DELETE", "/v1/kv/"+s.prefix+"?recurse", "")
		transport.CloseIdleConnections()
	})
	return s
}

// answer is what the store said.
type answer struct {
	code   int
	header http.Header
	body   string
	index  uint64
}

// do sends a request to any path.
func (s *server) do(t testing.TB, method, path, body string) answer {
	t.Helper()
	a, err := s.try(method, path, body)
	if err != nil {
		t.Fatalf("%s %s: %v", method, path, err)
	}
	return a
}

func (s *server) try(method, path, body string) (answer, error) {
	r, err := http.NewRequest(method, "http://"+s.addr+path, strings.NewReader(body))
	if err != nil {
		return answer{}, err
	}
	response, err := s.http.Do(r)
	if err != nil {
		return answer{}, err
	}
	defer response.Body.Close()
	got, err := io.ReadAll(response.Body)
	if err != nil {
		return answer{}, err
	}
	index, _ := strconv.ParseUint(response.Header.Get("X-Consul-Index"), 10, 64)
	return answer{response.StatusCode, response.Header, string(got), index}, nil
}

// kv sends a request to a key below the test's prefix; query may follow the key.
func (s *server) kv(t testing.TB, method, key, body string) answer {
	t.Helper()
	return s.do(t, method, "/v1/kv/"+s.prefix+key, body)
}

// put writes a key and returns its ModifyIndex.
func (s *server) put(t testing.TB, key, value string) uint64 {
	t.Helper()
	s.kv(t, "PUT", key, value).is(t, 200, "true")
	return s.kv(t, "GET", key, "").index
}

// is demands a status and a whole body.
func (a answer) is(t testing.TB, code int, body string) {
	t.Helper()
	if a.code != code || a.body != body {
		t.Errorf("got %d %q, want %d %q", a.code, a.body, code, body)
	}
}

// says demands a status and a part of the body, which for an error must not pass for a success.
func (a answer) says(t testing.TB, code int, part string) {
	t.Helper()
	if a.code != code || !strings.Contains(a.body, part) {
		t.Errorf("got %d %q, want %d %q", a.code, a.body, code, part)
	}
	if code >= 400 && strings.Contains(a.body, "true") {
		t.Errorf("an error that clients take for success: %q", a.body)
	}
}

// pair is one entry of the KV as the store shows it.
type pair struct {
	LockIndex   uint64
	Key         string
	Flags       uint64
	Value       []byte
	Session     string
	CreateIndex uint64
	ModifyIndex uint64
}

// pairs reads an answer that lists entries.
func (a answer) pairs(t testing.TB) []pair {
	t.Helper()
	var pairs []pair
	if a.code == http.StatusNotFound {
		return nil
	}
	if err := json.Unmarshal([]byte(a.body), &pairs); err != nil {
		t.Fatalf("%d %q: %v", a.code, a.body, err)
	}
	return pairs
}

func (s *server) one(t testing.TB, key string) pair {
	t.Helper()
	pairs := s.kv(t, "GET", key, "").pairs(t)
	if len(pairs) != 1 {
		t.Fatalf("%s: got %d entries, want 1", key, len(pairs))
	}
	return pairs[0]
}

// names reads an answer that lists keys and cuts the test's prefix off them.
func (s *server) names(t testing.TB, a answer) string {
	t.Helper()
	var names []string
	if err := json.Unmarshal([]byte(a.body), &names); err != nil {
		t.Fatalf("%d %q: %v", a.code, a.body, err)
	}
	for i, name := range names {
		names[i] = strings.TrimPrefix(name, s.prefix)
	}
	return strings.Join(names, " ")
}
