package main

import (
	"os"
	"path/filepath"
	"slices"
	"testing"

	"github.com/platypus-platform/platypus/agents/internal/testhost"
	"github.com/platypus-platform/platypus/agents/setlive/health"
	"github.com/platypus-platform/platypus/agents/setlive/service"
)

func TestTheCatalogIsToldWhatIsKnownAndNoMore(t *testing.T) {
	p := service.Process{PID: 7, Started: 1, Version: "v1"}
	trial := Attempt{To: "v1", From: "v0"}
	for name, c := range map[string]struct {
		process        service.Process
		verdict        health.Verdict
		attempt        Attempt
		known, healthy bool
	}{
		"just begun":           {process: p},
		"of another process":   {process: p, verdict: health.Verdict{Process: service.Process{PID: 8}, Passing: true, Passes: 3}},
		"passes":               {process: p, verdict: health.Verdict{Process: p, Passing: true, Passes: 1}, known: true, healthy: true},
		"fails":                {process: p, verdict: health.Verdict{Process: p, Reason: "no"}, known: true},
		"on trial":             {process: p, verdict: health.Verdict{Process: p, Passing: true, Passes: 1}, attempt: trial, known: true},
		"on trial and healthy": {process: p, verdict: health.Verdict{Process: p, Passing: true, Healthy: true, Passes: 9}, attempt: trial, known: true, healthy: true},
		"down":                 {verdict: health.Verdict{Passing: true, Passes: 9}, known: true},
	} {
		e := entry(Wanted{Spec: service.Spec{App: "slug"}}, App{Service: service.State{App: "slug", Process: c.process}, Verdict: c.verdict, Attempt: c.attempt})
		if e.Known != c.known || e.Healthy && e.Known != c.healthy {
			t.Errorf("%s: %+v", name, e)
		}
	}
}

func TestLinksOfAnotherHandAreUnderstood(t *testing.T) {
	basedir := testhost.Scratch(t)
	testhost.Prepare(t, basedir, "slug", "v1", testhost.Calm)
	testhost.Prepare(t, basedir, "slug-x", "v2", testhost.Calm)
	current := filepath.Join(basedir, "current")
	for target, want := range map[string]string{
		filepath.Join(basedir, "installs", "slug_v1"):   "v1",
		"installs/slug_v1":                              "v1",
		filepath.Join(basedir, "installs", "slug_v9"):   "",
		filepath.Join(basedir, "installs", "slug-x_v2"): "",
		"/": "", "current": "",
	} {
		_ = os.Remove(current)
		if err := os.Symlink(target, current); err != nil {
			t.Fatal(err)
		}
		if got, err := versionOf("slug", basedir, current); err != nil || got != want {
			t.Errorf("%s is %q, want %q (%v)", target, got, want, err)
		}
	}
	if got, err := installed("slug", basedir); err != nil || !slices.Equal(got, []string{"v1"}) {
		t.Errorf("installed %v, %v", got, err)
	}
}

func TestADamagedAttemptIsMovedAside(t *testing.T) {
	h := &host{attempts: attempts(t.TempDir())}
	want := Attempt{Goal: "g", To: "v2", From: "v1", Failed: "sick"}
	if err := h.attempts.write("slug", want); err != nil {
		t.Fatal(err)
	}
	whole, err := os.ReadFile(h.attempts.path("slug"))
	if err != nil {
		t.Fatal(err)
	}
	for cut := range len(whole) - 2 {
		if err := os.WriteFile(h.attempts.path("slug"), whole[:cut], 0o600); err != nil {
			t.Fatal(err)
		}
		if app := h.look(App{}, "slug", "/nowhere"); app.Attempt != (Attempt{}) || app.Unseen != "" {
			t.Errorf("cut at %d it is %+v", cut, app)
		}
		if left, _ := filepath.Glob(string(h.attempts) + "/slug.json.corrupt-*"); len(left) == 0 {
			t.Errorf("cut at %d it was not kept for a person to see", cut)
		}
	}
}
