package main

import (
	"reflect"

	"pgregory.net/rapid"

	"github.com/platypus-platform/platypus/agents/setlive/health"
	"github.com/platypus-platform/platypus/agents/setlive/service"
	"github.com/platypus-platform/platypus/intent"
)

// model is one app on a host that does what it is told, and the truth about its versions.
type model struct {
	App
	good map[string]bool // versions that become healthy
}

var all = []string{"v1", "v2", "v3"}

// after is what a step does to a host.
func (m *model) after(t *rapid.T, s Step) {
	svc := &m.Service
	switch s.Verb {
	case Stop:
		m.note(s.Attempt)
		svc.Process, svc.Up, svc.Past.Restarts = service.Process{}, false, 0
		svc.Boot = svc.Boot && !s.Final
	case Flip:
		if svc.Process.Running() && svc.Process.Version != s.Version {
			t.Fatalf("current is turned to %s while %s runs", s.Version, svc.Process.Version)
		}
		m.note(s.Attempt)
		if s.Attempt.From != "" {
			m.Links.Previous = s.Attempt.From
		}
		m.Links.Current = s.Version
	case Install:
		svc.App, svc.Basedir, svc.Fingerprint = s.Spec.App, s.Spec.Basedir, s.Spec.Fingerprint()
	case Start:
		svc.Up, svc.Boot = true, true
		if !svc.Process.Running() {
			svc.Process = service.Process{PID: 1000 + len(m.Links.Current), Started: 7, Version: m.Links.Current, Settings: s.Spec.Settings(), Core: s.Spec.Core()}
		}
	case Tell:
		if svc.Process.Core != s.Spec.Core() || svc.Fingerprint != s.Spec.Fingerprint() {
			t.Fatalf("%v, though %+v", s, m.Service)
		}
		svc.Process.Settings = s.Spec.Settings()
	case Commit:
		m.Attempt = Attempt{}
	case Revert:
		m.Attempt = s.Attempt
	case Unlink:
		m.Links.Current, m.Links.Previous = "", ""
	case Remove:
		m.Service, m.Attempt = service.State{}, Attempt{}
	default:
		t.Fatalf("unknown step %v", s)
	}
}

func (m *model) note(a Attempt) {
	if a != (Attempt{}) {
		m.Attempt = a
	}
}

// patience lets time pass: the watch finds out the truth about what runs.
func (m *model) patience(w Wanted) {
	if m.Service.Up && !m.Service.Process.Running() && m.Links.Current != "" { // the supervisor does its work
		m.Service.Process = service.Process{PID: 400, Started: 9, Version: m.Links.Current, Settings: w.Spec.Settings(), Core: w.Spec.Core()}
	}
	p := m.Service.Process
	v := health.Verdict{Install: install(w.Spec, p.Version), Process: p, Passing: true, Passes: 5, Healthy: true}
	if !m.good[p.Version] {
		v = health.Verdict{Install: install(w.Spec, p.Version), Process: p, Reason: "sick", Expired: true}
	}
	m.Verdict = v
	m.Peers = Peers{Asked: true, Held: true, Healthy: w.MinNodes}
}

// settle plans and applies until nothing is left; it fails when that never comes.
func (m *model) settle(t *rapid.T, w Wanted) (steps []Step) {
	for range 20 {
		d := Desired{w.Spec.App: w}
		if w.Spec.App == "" {
			d = Desired{}
		}
		planned := plan(d, Actual{"slug": m.App})
		for _, s := range planned {
			m.after(t, s)
		}
		steps = append(steps, planned...)
		before := m.App
		if m.patience(w); len(planned) == 0 && reflect.DeepEqual(before, m.App) {
			return steps
		}
	}
	t.Fatalf("it never ends: %v", steps)
	return nil
}

func (m *model) clone() *model {
	c := *m
	return &c
}

func anyWanted(t *rapid.T) Wanted {
	w := Wanted{
		Spec:    service.Spec{App: "slug", Basedir: "/srv/slug", Config: rapid.SampledFrom([]string{"", `{"a":1}`}).Draw(t, "config")},
		Cluster: "production", MinNodes: rapid.IntRange(0, 2).Draw(t, "min nodes"),
		Version: rapid.SampledFrom(append([]string{""}, all...)).Draw(t, "active"),
		Check:   intent.Health{Type: intent.HealthUp},
	}
	w.Spec.OnConfig = rapid.SampledFrom([]string{"", "nothing", "signal:HUP"}).Draw(t, "on config")
	w.Goal = rapid.SampledFrom([]string{"goal1", "goal2"}).Draw(t, "goal")
	return w
}

func anyModel(t *rapid.T, w Wanted) *model {
	m := &model{good: map[string]bool{}}
	for _, v := range all {
		m.good[v] = rapid.Bool().Draw(t, v+" is good")
		if rapid.IntRange(0, 3).Draw(t, v+" is absent") > 0 {
			m.Installed = append(m.Installed, v)
		}
	}
	some := append([]string{""}, m.Installed...)
	m.Links.Current = rapid.SampledFrom(some).Draw(t, "current")
	if rapid.Bool().Draw(t, "attempted") {
		m.Attempt = Attempt{Goal: "goal1", To: rapid.SampledFrom(all).Draw(t, "to"), From: rapid.SampledFrom(append([]string{""}, all...)).Draw(t, "from")}
		if m.Attempt.From == m.Attempt.To {
			m.Attempt.From = ""
		}
		m.Attempt.Failed = rapid.SampledFrom([]string{"", "sick"}).Draw(t, "failed")
	}
	if rapid.Bool().Draw(t, "owned") {
		m.Service = service.State{App: "slug", Basedir: "/srv/slug", Up: rapid.Bool().Draw(t, "up"), Boot: rapid.Bool().Draw(t, "boot")}
		m.Service.Fingerprint = rapid.SampledFrom([]string{"", "other", w.Spec.Fingerprint()}).Draw(t, "fingerprint")
		if rapid.Bool().Draw(t, "runs") {
			m.Service.Process = service.Process{PID: 500, Started: 3, Version: rapid.SampledFrom(append([]string{""}, all...)).Draw(t, "process"),
				Settings: rapid.SampledFrom([]string{"", "other", w.Spec.Settings()}).Draw(t, "settings"),
				Core:     rapid.SampledFrom([]string{"", "other", w.Spec.Core()}).Draw(t, "core")}
			if m.Service.Process.Settings == w.Spec.Settings() {
				m.Service.Process.Core = w.Spec.Core()
			}
		}
	}
	return m
}
