package conformance

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"
)

type txnAnswer struct {
	Results []struct{ KV pair }
	Errors  []struct {
		OpIndex int
		What    string
	}
}

// txn runs operations given as `verb key field:value …`, with keys below the test's prefix.
func (s *server) txn(t *testing.T, code int, ops ...string) txnAnswer {
	t.Helper()
	var list []string
	for _, op := range ops {
		words := strings.Fields(op)
		fields := []string{fmt.Sprintf(`"Verb":%q,"Key":%q`, words[0], s.prefix+words[1])}
		for _, word := range words[2:] {
			name, value, _ := strings.Cut(word, ":")
			fields = append(fields, fmt.Sprintf("%q:%s", name, value))
		}
		list = append(list, `{"KV":{`+strings.Join(fields, ",")+`}}`)
	}
	a := s.do(t, "PUT", "/v1/txn", "["+strings.Join(list, ",")+"]")
	if a.code != code {
		t.Fatalf("%v: got %d %q, want %d", ops, a.code, a.body, code)
	}
	var answer txnAnswer
	if err := json.Unmarshal([]byte(a.body), &answer); err != nil {
		t.Fatalf("%q: %v", a.body, err)
	}
	if code == 409 && answer.Results != nil {
		t.Errorf("a failed transaction has results: %q", a.body)
	}
	return answer
}

func testTxn(t *testing.T, s *server) {
	t.Run("all or nothing", s.txnAtomic)
	t.Run("verbs", s.txnVerbs)
	t.Run("failures", s.txnFailures)
	t.Run("empty", func(t *testing.T) {
		s.do(t, "PUT", "/v1/txn", "[]").says(t, 200, `{"Results":[],"Errors":null`)
	})
}

func (s *server) txnAtomic(t *testing.T) {
	got := s.txn(t, 200, `set a Value:"MQ==" Flags:3`, `set b Value:"Mg=="`)
	a, b := s.one(t, "a"), s.one(t, "b")
	if a.ModifyIndex != b.ModifyIndex || a.Flags != 3 || string(b.Value) != "2" {
		t.Errorf("one transaction: %+v, %+v", a, b)
	}
	if len(got.Results) != 2 || got.Results[0].KV.ModifyIndex != a.ModifyIndex || got.Results[0].KV.Value != nil {
		t.Errorf("results: %+v", got.Results)
	}
	failed := s.txn(t, 409, `set a Value:"Mw=="`, fmt.Sprintf(`check-index b Index:%d`, b.ModifyIndex+1), `get none`)
	if len(failed.Errors) != 2 || failed.Errors[0].OpIndex != 1 || failed.Errors[1].OpIndex != 2 {
		t.Errorf("errors: %+v", failed.Errors)
	}
	if again := s.one(t, "a"); again.ModifyIndex != a.ModifyIndex {
		t.Errorf("a failed transaction wrote: %+v", again)
	}
	s.txn(t, 200, `set a Value:"MQ==" Flags:3`)
	if again := s.one(t, "a"); again.ModifyIndex != a.ModifyIndex {
		t.Errorf("the same value again: %+v", again)
	}
	// Later operations see earlier ones.
	s.txn(t, 200, `delete a`, `check-not-exists a`, `set a Value:"NA=="`, `cas c Value:"NQ==" Index:0`, `get c`)
	if after := s.one(t, "a"); after.CreateIndex <= a.CreateIndex || string(after.Value) != "4" {
		t.Errorf("deleted and made again: %+v", after)
	}
}

func (s *server) txnVerbs(t *testing.T) {
	s.put(t, "v/a", "1")
	s.put(t, "v/b", "2")
	tree := s.txn(t, 200, `get-tree v/`, `get v/a`, `get-or-empty v/none`, `check-not-exists v/none`)
	if len(tree.Results) != 4 || string(tree.Results[1].KV.Value) != "2" || tree.Results[3].KV.Value != nil {
		t.Errorf("reads: %+v", tree.Results)
	}
	index := s.one(t, "v/a").ModifyIndex
	checked := s.txn(t, 200, fmt.Sprintf(`check-index v/a Index:%d`, index), `check-session v/a Session:""`)
	if len(checked.Results) != 2 || checked.Results[0].KV.Value != nil {
		t.Errorf("checks: %+v", checked.Results)
	}
	s.txn(t, 200, fmt.Sprintf(`delete-cas v/a Index:%d`, index), `delete v/none`, `delete-tree v/`)
	s.kv(t, "GET", "v/?recurse", "").is(t, 404, "")
	id := s.session(t, `{"LockDelay":"0s"}`)
	locked := s.txn(t, 200, fmt.Sprintf(`lock v/l Value:"MQ==" Session:%q`, id), fmt.Sprintf(`check-session v/l Session:%q`, id))
	if locked.Results[0].KV.Session != id || locked.Results[0].KV.LockIndex != 1 {
		t.Errorf("lock: %+v", locked.Results)
	}
	s.txn(t, 200, fmt.Sprintf(`unlock v/l Session:%q`, id))
	if p := s.one(t, "v/l"); p.Session != "" || p.LockIndex != 1 || p.Value != nil {
		t.Errorf("unlocked: %+v", p)
	}
}

func (s *server) txnFailures(t *testing.T) {
	s.put(t, "f", "1")
	index := s.one(t, "f").ModifyIndex
	key := fmt.Sprintf("%q", s.prefix+"f")
	for op, want := range map[string]string{
		`get f2`:                       fmt.Sprintf("key %q doesn't exist", s.prefix+"f2"),
		`check-not-exists f`:           "key " + key + " exists",
		`cas f Index:0`:                "failed to set key " + key + ", index is stale",
		`delete-cas f Index:1`:         "failed to delete key " + key + ", index is stale",
		`check-index f Index:1`:        fmt.Sprintf("failed index check for key %s, current modify index %d != 1", key, index),
		`check-index f2 Index:1`:       fmt.Sprintf("failed to check index, key %q doesn't exist", s.prefix+"f2"),
		`check-session f Session:"x"`:  `failed session check for key ` + key + `, current session "" != "x"`,
		`check-session f2 Session:"x"`: fmt.Sprintf("failed to check session, key %q doesn't exist", s.prefix+"f2"),
		`lock f Session:"x"`:           `invalid session "x"`,
		`lock f Session:""`:            "missing session",
		`unlock f Session:"x"`:         "failed to unlock key " + key + ", lock isn't held, or is held by another session",
		`shout f`:                      `unknown KV verb "shout"`,
	} {
		if got := s.txn(t, 409, op); len(got.Errors) != 1 || got.Errors[0].What != want {
			t.Errorf("%s: %+v, want %s", op, got.Errors, want)
		}
	}
	s.do(t, "PUT", "/v1/txn", `[{"KV":{"Verb":"set","Key":""}}]`).says(t, 409, `"What":"Must provide key"`)
}
