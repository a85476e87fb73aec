package conformance

import (
	"testing"
)

// testIndex holds the store to Consul's rules for X-Consul-Index.
func testIndex(t *testing.T, s *server) {
	first := s.put(t, "a/x", "1")
	second := s.put(t, "b/x", "1")
	if second <= first {
		t.Errorf("indexes %d, %d do not grow", first, second)
	}
	list := func(prefix string) uint64 { return s.kv(t, "GET", prefix+"?recurse", "").index }
	keys := func(prefix string) uint64 { return s.kv(t, "GET", prefix+"?keys", "").index }
	expect := func(what string, got, want uint64) {
		t.Helper()
		if got != want {
			t.Errorf("%s: index %d, want %d", what, got, want)
		}
	}
	expect("a key", s.kv(t, "GET", "a/x", "").index, first)
	expect("a prefix", list("a/"), first)
	expect("the keys of a prefix", keys("a/"), first)
	expect("a missing key", s.kv(t, "GET", "a/y", "").index, second)
	expect("an empty prefix", list("zz/"), second)
	expect("everything", s.do(t, "GET", "/v1/kv/?keys", "").index, second)

	s.put(t, "a/x", "1")
	expect("the same again", s.one(t, "a/x").ModifyIndex, first)
	s.kv(t, "PUT", "a/x?flags=1", "1").is(t, 200, "true")
	third := s.one(t, "a/x").ModifyIndex
	if third <= second {
		t.Errorf("new flags: index %d, want more than %d", third, second)
	}
	s.kv(t, "DELETE", "a/none", "").is(t, 200, "true")
	expect("after deleting what is missing", list("a/"), third)

	s.put(t, "a/y", "1")
	before := list("a/")
	s.kv(t, "DELETE", "a/y", "").is(t, 200, "true")
	after := list("a/")
	if after <= before {
		t.Errorf("after a delete: index %d, want more than %d", after, before)
	}
	expect("the prefix beside", list("b/"), second)
	s.kv(t, "DELETE", "a/?recurse", "").is(t, 200, "true")
	gone := list("a/")
	if gone <= after {
		t.Errorf("after a recursive delete: index %d, want more than %d", gone, after)
	}
	later := s.put(t, "b/x", "2")
	expect("a deleted prefix", list("a/"), gone)
	expect("a missing key", s.kv(t, "GET", "a/x", "").index, later)
	s.kv(t, "DELETE", "a/?recurse", "").is(t, 200, "true")
	expect("a prefix deleted twice", list("a/"), gone)
}
