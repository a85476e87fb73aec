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

// past is a history in a directory of its own, and the same one as the next process would find it.
func past(t *testing.T) (h *history, again func() *history) {
	t.Helper()
	log, err := newLog(&bytes.Buffer{}, "info", "text")
	if err != nil {
		t.Fatal(err)
	}
	a := &Agent{Name: "toy", StateDir: t.TempDir(), Log: log}
	return newHistory(a), func() *history { return newHistory(a) }
}

// phases is what a report would say that a subject went through.
func phases(subjects map[string]intent.State, name string) (all []string) {
	for _, t := range subjects[name].Transitions {
		all = append(all, strings.TrimSpace(t.Phase+" "+t.Want+" "+t.Text))
	}
	return all
}

func TestHistoryTellsHowItCame(t *testing.T) {
	h, again := past(t)
	at := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	now := func(s intent.State) map[string]intent.State {
		at = at.Add(time.Second)
		subjects := map[string]intent.State{"slug": s}
		h.follow(subjects, at)
		return subjects
	}
	now(intent.State{Want: "v1", Phase: "working", Reason: "fetching 1%"})
	now(intent.State{Want: "v1", Phase: "working", Reason: "fetching 99%"}) // is no transition
	now(intent.State{Want: "v1", Phase: "failed", Error: "no room", Attempts: 1})
	now(intent.State{Want: "v1", Phase: "failed", Error: "no room", Attempts: 2}) // neither
	now(intent.State{Want: "v1", Phase: "failed", Error: "unreachable", Attempts: 3})
	now(intent.State{Want: "v1", Phase: "converged", Reason: "v1 unverified"})
	h = again() // another process
	h.follow(map[string]intent.State{}, at.Add(time.Minute))
	h.follow(map[string]intent.State{}, at.Add(time.Hour))
	got := now(intent.State{Want: "v1", Phase: "converged"})
	want := "[working v1 failed v1 no room failed v1 unreachable converged v1 gone converged v1]"
	if fmt.Sprint(phases(got, "slug")) != want {
		t.Errorf("%q, want %s", phases(got, "slug"), want)
	}
	if first := got["slug"].Transitions[1].At; first != time.Date(2026, 1, 2, 3, 4, 8, 0, time.UTC) {
		t.Errorf("it failed at %s", first)
	}
}

// TestHistoryIsBounded in time, in size and in number, on disk and in the report.
func TestHistoryIsBounded(t *testing.T) {
	h, again := past(t)
	subjects := map[string]intent.State{}
	for n := range 400 {
		name := fmt.Sprint("app", n)
		for turn := range 30 {
			subjects = map[string]intent.State{name: {Phase: "failed", Error: fmt.Sprint(turn, strings.Repeat("ä", 300))}}
			if n > 0 && turn > 1 {
				break
			}
			h.follow(subjects, time.Unix(int64(n), 0))
		}
		if n == 0 && len(subjects[name].Transitions) != maxTransitions {
			t.Errorf("%d transitions", len(subjects[name].Transitions))
		}
	}
	if data, err := json.Marshal(subjects); err != nil || !json.Valid(data) || strings.Contains(string(data), "\ufffd") {
		t.Errorf("cut in the middle of a letter: %s", data)
	}
	if h = again(); len(h.of) != maxRemembered || h.of["app0"] != nil || h.of["app399"] == nil {
		t.Errorf("%d subjects are remembered", len(h.of))
	}
	everybody := map[string]intent.State{}
	for n := range 200 {
		everybody[fmt.Sprint("app", n+200)] = intent.State{Phase: "failed", Error: strings.Repeat("x", 300)}
	}
	h.follow(everybody, time.Unix(1000, 0))
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

// TestHistoryIsSilentInTheSteadyState, and what is damaged is set aside.
func TestHistoryIsSilentInTheSteadyState(t *testing.T) {
	h, again := past(t)
	steady := func() map[string]intent.State {
		return map[string]intent.State{"slug": {Want: "v1", Have: "v1", Phase: "converged"}}
	}
	first := steady()
	h.follow(first, time.Now())
	before, err := os.Stat(h.path())
	if err != nil {
		t.Fatal(err)
	}
	for range 100 {
		s := steady()
		h.follow(s, time.Now().Add(time.Hour))
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
	if h = again(); len(h.of) != 0 {
		t.Errorf("rubbish is believed: %v", h.of)
	}
	if aside, _ := filepath.Glob(h.path() + ".corrupt-*"); len(aside) != 1 {
		t.Errorf("set aside: %v", aside)
	}
}
