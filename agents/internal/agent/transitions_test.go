package agent

import (
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/platypus-platform/platypus/intent"
)

// newTestLog is a history in a directory of its own, and the same one as the next process would find it.
func newTestLog(t *testing.T) (h *transitionLog, again func() *transitionLog) {
	t.Helper()
	log, err := newLog(&bytes.Buffer{}, "info", "text")
	if err != nil {
		t.Fatal(err)
	}
	a := &Agent{Name: "toy", StateDir: t.TempDir(), Log: log}
	return newTransitionLog(a), func() *transitionLog { return newTransitionLog(a) }
}

// phases is what a report would say that a subject went through.
func phases(subjects map[string]intent.State, name string) (all []string) {
	for _, t := range subjects[name].Transitions {
		all = append(all, strings.TrimSpace(t.Phase+" "+t.Want+" "+t.Text))
	}
	return all
}

func TestTransitionLog_StatesChange_ReportsTransitions(t *testing.T) {
	h, again := newTestLog(t)
	at := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	now := func(s intent.State) map[string]intent.State {
		at = at.Add(time.Second)
		subjects := map[string]intent.State{"slug": s}
		h.record(subjects, at)
		return subjects
	}
	now(intent.State{Want: "v1", Phase: "working", Reason: "fetching 1%"})
	now(intent.State{Want: "v1", Phase: "working", Reason: "fetching 99%"}) // is no transition
	now(intent.State{Want: "v1", Phase: "failed", Error: "no room", Attempts: 1})
	now(intent.State{Want: "v1", Phase: "failed", Error: "no room", Attempts: 2}) // neither
	now(intent.State{Want: "v1", Phase: "failed", Error: "unreachable", Attempts: 3})
	now(intent.State{Want: "v1", Phase: "converged", Reason: "v1 unverified"})
	h = again() // another process
	h.record(map[string]intent.State{}, at.Add(time.Minute))
	h.record(map[string]intent.State{}, at.Add(time.Hour))
	got := now(intent.State{Want: "v1", Phase: "converged"})
	want := "[working v1 failed v1 no room failed v1 unreachable converged v1 gone converged v1]"
	if fmt.Sprint(phases(got, "slug")) != want {
		t.Errorf("%q, want %s", phases(got, "slug"), want)
	}
	if first := got["slug"].Transitions[1].At; first != time.Date(2026, 1, 2, 3, 4, 8, 0, time.UTC) {
		t.Errorf("it failed at %s", first)
	}
}

func TestTransitionLog_ManyChanges_IsBounded(t *testing.T) {
	h, again := newTestLog(t)
	subjects := map[string]intent.State{}
	for n := range 400 {
		name := fmt.Sprint("app", n)
		for turn := range 30 {
			subjects = map[string]intent.State{name: {Phase: "failed", Error: fmt.Sprint(turn, strings.Repeat("ä", 300))}}
			if n > 0 && turn > 1 {
				break
			}
			h.record(subjects, time.Unix(int64(n), 0))
		}
		if n == 0 && len(subjects[name].Transitions) != maxTransitions {
			t.Errorf("%d transitions", len(subjects[name].Transitions))
		}
	}
	if data, err := json.Marshal(subjects); err != nil || !json.Valid(data) || strings.Contains(string(data), "\ufffd") {
		t.Errorf("cut in the middle of a letter: %s", data)
	}
	if h = again(); len(h.bySubject) != maxSubjects || h.bySubject["app0"] != nil || h.bySubject["app399"] == nil {
		t.Errorf("%d subjects are remembered", len(h.bySubject))
	}
	everybody := map[string]intent.State{}
	for n := range 200 {
		everybody[fmt.Sprint("app", n+200)] = intent.State{Phase: "failed", Error: strings.Repeat("x", 300)}
	}
	h.record(everybody, time.Unix(1000, 0))
	data, err := json.Marshal(everybody)
	if err != nil || len(data) > 256<<10 {
		t.Errorf("a report of %d bytes", len(data))
	}
	for name, s := range everybody {
		if len(s.Transitions) == 0 {
			t.Errorf("%s has no past at all", name)
		}
	}
}

// A damaged file is moved aside.
func TestTransitionLog_SteadyState_WritesNothing(t *testing.T) {
	h, again := newTestLog(t)
	steady := func() map[string]intent.State {
		return map[string]intent.State{"slug": {Want: "v1", Have: "v1", Phase: "converged"}}
	}
	first := steady()
	h.record(first, time.Now())
	before, err := os.Stat(h.path())
	if err != nil {
		t.Fatal(err)
	}
	for range 100 {
		s := steady()
		h.record(s, time.Now().Add(time.Hour))
		if len(s["slug"].Transitions) != 1 || s["slug"].Transitions[0] != first["slug"].Transitions[0] {
			t.Fatalf("the report changes: %+v", s)
		}
	}
	if after, err := os.Stat(h.path()); err != nil || !os.SameFile(before, after) {
		t.Errorf("it was written again: %v", err)
	}
	if err := os.WriteFile(h.path(), []byte("rubbish"), 0o600); err != nil {
		t.Fatal(err)
	}
	if h = again(); len(h.bySubject) != 0 {
		t.Errorf("rubbish is believed: %v", h.bySubject)
	}
	if aside, _ := filepath.Glob(h.path() + ".corrupt-*"); len(aside) != 1 {
		t.Errorf("set aside: %v", aside)
	}
}
