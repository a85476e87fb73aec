package conformance

import (
	"fmt"
	"net/http"
	"testing"
	"time"
)

// settle is how long a test waits to see that nothing happens.
const settle = 300 * time.Millisecond

func testBlock(t *testing.T, s *server) {
	t.Run("key", s.blockKey)
	t.Run("missing key", s.blockMissing)
	t.Run("prefix", s.blockPrefix)
	t.Run("time-out", s.blockTimeout)
}

// wait starts a blocking query and returns where its answer comes.
func (s *server) wait(t *testing.T, path string, index uint64) <-chan answer {
	answers := make(chan answer, 1)
	sep := "?"
	for _, c := range path {
		if c == '?' {
			sep = "&"
		}
	}
	go func() {
		a, err := s.try("GET", fmt.Sprintf("%s%sindex=%d&wait=60s", path, sep, index), "")
		if err != nil {
			a.body = err.Error()
		}
		answers <- a
	}()
	return answers
}

func quiet(t *testing.T, answers <-chan answer, why string) {
	t.Helper()
	select {
	case a := <-answers:
		t.Fatalf("%s woke the watcher: %d %q", why, a.code, a.body)
	case <-time.After(settle):
	}
}

func woken(t *testing.T, answers <-chan answer, by string) answer {
	t.Helper()
	select {
	case a := <-answers:
		return a
	case <-time.After(hang):
		t.Fatalf("%s did not wake the watcher", by)
	}
	return answer{}
}

func (s *server) blockKey(t *testing.T) {
	index := s.put(t, "k/a", "1")
	path := "/v1/kv/" + s.prefix + "k/a"
	answers := s.wait(t, path, index)
	quiet(t, answers, "nothing")
	s.put(t, "k/b", "1")
	quiet(t, answers, "another key")
	s.put(t, "k/a", "1")
	quiet(t, answers, "the same value")
	s.put(t, "k/a", "2")
	a := woken(t, answers, "a new value")
	if got := a.pairs(t); a.code != http.StatusOK || string(got[0].Value) != "2" || a.index <= index {
		t.Errorf("woken with %d %q, index %d", a.code, a.body, a.index)
	}
	now := s.wait(t, path, index)
	if got := woken(t, now, "an old index"); got.index != a.index {
		t.Errorf("an old index is answered with %d, want %d", got.index, a.index)
	}
	answers = s.wait(t, path, a.index)
	quiet(t, answers, "nothing")
	s.kv(t, "DELETE", "k/a", "")
	if gone := woken(t, answers, "a delete"); gone.code != http.StatusNotFound || gone.index <= a.index {
		t.Errorf("deleted: %d, index %d after %d", gone.code, gone.index, a.index)
	}
}

func (s *server) blockMissing(t *testing.T) {
	path := "/v1/kv/" + s.prefix + "m/a"
	missing := s.do(t, "GET", path, "")
	answers := s.wait(t, path, missing.index)
	quiet(t, answers, "nothing")
	s.put(t, "m/b", "1")
	quiet(t, answers, "another key")
	s.put(t, "m/a", "1")
	if a := woken(t, answers, "the key"); a.code != http.StatusOK {
		t.Errorf("woken with %d", a.code)
	}
}

func (s *server) blockPrefix(t *testing.T) {
	s.put(t, "p/web1/a", "1")
	s.put(t, "p/web10/a", "1")
	for _, how := range []string{"?recurse", "?keys"} {
		path := "/v1/kv/" + s.prefix + "p/web1/" + how
		index := s.do(t, "GET", path, "").index
		answers := s.wait(t, path, index)
		quiet(t, answers, "nothing")
		s.put(t, "p/web10/a", how)
		quiet(t, answers, "a sibling")
		s.put(t, "p/web1/b", how)
		a := woken(t, answers, "a new key")
		answers = s.wait(t, path, a.index)
		quiet(t, answers, "nothing")
		s.kv(t, "DELETE", "p/web1/b", "")
		b := woken(t, answers, "a delete")
		if b.index <= a.index {
			t.Errorf("delete: index %d after %d", b.index, a.index)
		}
	}
	s.put(t, "p/web2/a", "1")
	path := "/v1/kv/" + s.prefix + "p/web2/?recurse"
	answers := s.wait(t, path, s.do(t, "GET", path, "").index)
	quiet(t, answers, "nothing")
	s.kv(t, "DELETE", "p/?recurse", "")
	if a := woken(t, answers, "the deletion of a parent"); a.code != http.StatusNotFound {
		t.Errorf("all gone: %d", a.code)
	}
}

func (s *server) blockTimeout(t *testing.T) {
	index := s.put(t, "t", "1")
	start := time.Now()
	a := s.kv(t, "GET", fmt.Sprintf("t?index=%d&wait=1s", index), "")
	if a.code != http.StatusOK || a.index != index || time.Since(start) < time.Second {
		t.Errorf("time-out: %d, index %d, want %d, after %v", a.code, a.index, index, time.Since(start))
	}
	if b := s.kv(t, "GET", fmt.Sprintf("t?index=%d&wait=100ms", index+1000), ""); b.index != index {
		t.Errorf("an index from the future is answered with %d, want %d", b.index, index)
	}
	c := s.kv(t, "GET", fmt.Sprintf("none?index=%d&wait=100ms", index+1000), "")
	c.is(t, 404, "")
}
