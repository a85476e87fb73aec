package conformance

import (
	"encoding/json"
	"strings"
	"testing"
)

// session opens a session that ends with the test.
func (s *server) session(t *testing.T, body string) string {
	t.Helper()
	a := s.do(t, "PUT", "/v1/session/create", body)
	var made struct{ ID string }
	if err := json.Unmarshal([]byte(a.body), &made); err != nil || made.ID == "" {
		t.Fatalf("open session: %d %q", a.code, a.body)
	}
	t.Cleanup(func() { s.do(t, "PUT", "/v1/session/destroy/"+made.ID, "") })
	return made.ID
}

// entry is a session as the store shows it.
type entry struct {
	ID, Name, Node, Behavior, TTL string
	LockDelay                     int64
	NodeChecks                    []string
	CreateIndex                   uint64
}

func (a answer) sessions(t *testing.T) []entry {
	t.Helper()
	var list []entry
	if err := json.Unmarshal([]byte(a.body), &list); err != nil {
		t.Fatalf("%d %q: %v", a.code, a.body, err)
	}
	return list
}

func testSession(t *testing.T, s *server) {
	t.Run("life", s.sessionLife)
	t.Run("bodies", s.sessionBodies)
	t.Run("locks", s.locks)
	t.Run("end", s.sessionEnd)
	t.Run("lock delay", s.lockDelay)
}

func (s *server) sessionLife(t *testing.T) {
	id := s.session(t, `{"Name":"n","TTL":"30s","Behavior":"delete","LockDelay":"1s"}`)
	got := s.do(t, "GET", "/v1/session/info/"+id, "")
	list := got.sessions(t)
	if len(list) != 1 || list[0].ID != id || list[0].Name != "n" || list[0].TTL != "30s" || list[0].Behavior != "delete" ||
		list[0].LockDelay != 1e9 || strings.Join(list[0].NodeChecks, " ") != "serfHealth" {
		t.Fatalf("session: %+v", list)
	}
	s.headers(t, got)
	in := func(path string) bool {
		return strings.Contains(s.do(t, "GET", path, "").body, id)
	}
	if !in("/v1/session/list") || !in("/v1/session/node/"+list[0].Node) || in("/v1/session/node/nobody") {
		t.Error("the lists do not show the session, or show it elsewhere")
	}
	renewed := s.do(t, "PUT", "/v1/session/renew/"+id, "").sessions(t)
	if len(renewed) != 1 || renewed[0].ID != id {
		t.Errorf("renewed: %+v", renewed)
	}
	waiting := s.wait(t, "/v1/session/info/"+id, got.index)
	quiet(t, waiting, "nothing")
	s.do(t, "PUT", "/v1/session/destroy/"+id, "").is(t, 200, "true")
	woken(t, waiting, "the end of the session").is(t, 200, "[]")
	s.do(t, "PUT", "/v1/session/destroy/"+id, "").is(t, 200, "true")
	s.do(t, "GET", "/v1/session/info/"+id, "").is(t, 200, "[]")
	s.do(t, "PUT", "/v1/session/renew/"+id, "").is(t, 404, "Session id '"+id+"' not found")
}

func (s *server) sessionBodies(t *testing.T) {
	for body, delay := range map[string]int64{"": 15e9, "{}": 15e9, `{"LockDelay":7}`: 7e9, `{"LockDelay":2000000000}`: 2e9, `{"LockDelay":"0s"}`: 0} {
		id := s.session(t, body)
		got := s.do(t, "GET", "/v1/session/info/"+id, "").sessions(t)[0]
		if got.LockDelay != delay || got.Behavior != "release" || got.TTL != "" {
			t.Errorf("%s: %+v", body, got)
		}
	}
	none := s.session(t, `{"Checks":[]}`)
	if got := s.do(t, "GET", "/v1/session/info/"+none, "").sessions(t)[0]; len(got.NodeChecks) != 0 {
		t.Errorf("no checks: %+v", got)
	}
	for body, want := range map[string]string{
		`{"TTL":"9s"}`:            "Invalid Session TTL '9000000000', must be between [10s=24h0m0s]",
		`{"TTL":"25h"}`:           "Invalid Session TTL '90000000000000', must be between [10s=24h0m0s]",
		`{"TTL":"x"}`:             `Session TTL 'x' invalid: time: invalid duration "x"`,
		`{"Behavior":"keep"}`:     "Invalid Behavior setting 'keep'",
		`{"Node":"nobody"}`:       "Missing node registration",
		`{"NodeChecks":["none"]}`: "Missing check 'none' registration",
	} {
		s.do(t, "PUT", "/v1/session/create", body).says(t, 500, want)
	}
	s.do(t, "PUT", "/v1/session/create", "nonsense").says(t, 400, "Request decode failed: ")
	s.do(t, "PUT", "/v1/session/create", `{"LockDelay":"x"}`).says(t, 400, "Request decode failed: ")
}

func (s *server) locks(t *testing.T) {
	one, two := s.session(t, `{"LockDelay":"0s"}`), s.session(t, `{"LockDelay":"0s"}`)
	s.kv(t, "PUT", "l?acquire="+one, "1").is(t, 200, "true")
	held := s.one(t, "l")
	if held.Session != one || held.LockIndex != 1 {
		t.Errorf("held: %+v", held)
	}
	s.kv(t, "PUT", "l?acquire="+two, "2").is(t, 200, "false")
	s.kv(t, "PUT", "l?release="+two, "2").is(t, 200, "false")
	s.kv(t, "PUT", "l?acquire="+one, "1").is(t, 200, "true")
	if again := s.one(t, "l"); again.ModifyIndex != held.ModifyIndex {
		t.Errorf("acquired again: %+v, before %+v", again, held)
	}
	s.kv(t, "PUT", "l?acquire="+one, "3").is(t, 200, "true")
	if again := s.one(t, "l"); again.LockIndex != 1 || string(again.Value) != "3" {
		t.Errorf("acquired again with a new value: %+v", again)
	}
	s.kv(t, "PUT", "l", "4").is(t, 200, "true")
	if plain := s.one(t, "l"); plain.Session != one || plain.LockIndex != 0 {
		t.Errorf("a plain write over a lock: %+v", plain)
	}
	s.kv(t, "PUT", "l?release="+one, "5").is(t, 200, "true")
	if free := s.one(t, "l"); free.Session != "" || string(free.Value) != "5" {
		t.Errorf("released: %+v", free)
	}
	s.kv(t, "PUT", "l?release="+one, "5").is(t, 200, "false")
	s.kv(t, "PUT", "none?release="+one, "5").is(t, 200, "false")
	s.kv(t, "PUT", "l?acquire="+two, "6").is(t, 200, "true")
	if taken := s.one(t, "l"); taken.Session != two || taken.LockIndex != 1 {
		t.Errorf("taken over: %+v", taken)
	}
	s.kv(t, "DELETE", "l", "").is(t, 200, "true")
}

func (s *server) sessionEnd(t *testing.T) {
	keep := s.session(t, `{"LockDelay":"0s"}`)
	drop := s.session(t, `{"LockDelay":"0s","Behavior":"delete"}`)
	for _, key := range []string{"k1", "k2"} {
		s.kv(t, "PUT", "keep/"+key+"?acquire="+keep, key).is(t, 200, "true")
		s.kv(t, "PUT", "drop/"+key+"?acquire="+drop, key).is(t, 200, "true")
	}
	before := s.kv(t, "GET", "drop/?recurse", "").index
	waiting := s.wait(t, "/v1/kv/"+s.prefix+"drop/?recurse", before)
	quiet(t, waiting, "nothing")
	s.do(t, "PUT", "/v1/session/destroy/"+drop, "").is(t, 200, "true")
	if gone := woken(t, waiting, "the end of the session"); gone.code != 404 || gone.index <= before {
		t.Errorf("deleted with the session: %d, index %d after %d", gone.code, gone.index, before)
	}
	s.do(t, "PUT", "/v1/session/destroy/"+keep, "").is(t, 200, "true")
	pairs := s.kv(t, "GET", "keep/?recurse", "").pairs(t)
	if len(pairs) != 2 || pairs[0].Session != "" || pairs[0].LockIndex != 1 || pairs[0].ModifyIndex != pairs[1].ModifyIndex {
		t.Errorf("released with the session: %+v", pairs)
	}
	next := s.session(t, `{"LockDelay":"0s"}`)
	s.kv(t, "PUT", "keep/k1?acquire="+next, "x").is(t, 200, "true")
	if p := s.one(t, "keep/k1"); p.LockIndex != 2 {
		t.Errorf("locked a second time: %+v", p)
	}
}

func (s *server) lockDelay(t *testing.T) {
	first, second := s.session(t, `{"LockDelay":"30s"}`), s.session(t, "")
	s.kv(t, "PUT", "l?acquire="+first, "1").is(t, 200, "true")
	s.do(t, "PUT", "/v1/session/destroy/"+first, "").is(t, 200, "true")
	s.kv(t, "PUT", "l?acquire="+second, "1").is(t, 200, "false")
	if got := s.txn(t, 409, `lock l Session:"`+second+`"`); !strings.HasSuffix(got.Errors[0].What, "due to lock delay") {
		t.Errorf("lock within the delay: %+v", got.Errors)
	}
	s.kv(t, "PUT", "l", "2").is(t, 200, "true")
}
