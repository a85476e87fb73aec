package fleet_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/platypus-platform/platypus/intent"
)

// TestRunning: of several agents on a node the worst word counts, and one that is silent is not believed.
func TestRunning(t *testing.T) {
	w := newTelling(t)
	for i, phase := range []string{"converged", "waiting", "failed"} {
		node := intent.Name(fmt.Sprint("n", i))
		for _, agent := range []intent.Name{"preparer", "setlive"} {
			p := "converged"
			if agent == "setlive" {
				p = phase
			}
			w.put(w.tree.Status(agent, node), intent.Report{Agent: string(agent), Node: node, Subjects: map[string]intent.State{
				"slug": {Phase: p, Reason: "because", Since: time.Unix(int64(1000+i), 0)}}})
			w.put(w.tree.Alive(node, agent), "{}")
		}
	}
	delete(w.pairs, w.tree.Alive("n0", "setlive"))
	f := w.read()
	if len(f.Apps) != 1 || f.Apps[0].Nodes != 3 || len(f.Apps[0].Open) != 3 {
		t.Fatalf("%+v", f.Apps)
	}
	got := ""
	for _, at := range f.Apps[0].Open {
		got += fmt.Sprintf("%s %s %s: %s; ", at.Node, at.Agent, at.Phase, at.Reason)
	}
	if want := "n0 setlive silent: setlive is not running there; it last said: converged; n2 setlive failed: because; n1 setlive waiting: because; "; got != want {
		t.Errorf("%s, want %s", got, want)
	}
	if len(f.Changes) != 3 || f.Changes[0].Machine != "n2" || !strings.Contains(f.Changes[0].Text, "failed: because") {
		t.Errorf("%+v", f.Changes)
	}
}

// TestVersions: of an app that is live in two versions both are counted, whatever other agents have.
func TestVersions(t *testing.T) {
	w := newTelling(t)
	for i, version := range []string{"v1", "v2", "v2"} {
		node := intent.Name(fmt.Sprint("n", i))
		for _, agent := range []intent.Name{"preparer", "setlive"} {
			w.put(w.tree.Status(agent, node), intent.Report{Node: node, Subjects: map[string]intent.State{"slug": {Phase: "converged", Have: version, Since: time.Unix(60, 0)}}})
			w.put(w.tree.Alive(node, agent), "{}")
		}
	}
	f := w.read()
	if got := fmt.Sprint(f.Apps[0].Versions); got != "[{v2 2} {v1 1}]" || len(f.Apps[0].Well) != 3 || f.Apps[0].Well[0].Has != "v1" || f.Apps[0].Wrong != 0 {
		t.Errorf("%s, %+v", got, f.Apps[0])
	}
	if len(f.Changes) != 2 || f.Changes[0].Nodes+f.Changes[1].Nodes != 3 || f.Changes[1].Nodes == 2 && f.Changes[1].Machine != "" {
		t.Errorf("a release on several nodes is told as %+v", f.Changes)
	}
}

// TestSeeds: every node that takes seeds tells of all of them, and only those that have one count.
func TestSeeds(t *testing.T) {
	w := newTelling(t)
	here := intent.State{Want: "ready", Have: "ready", Phase: "converged"}
	elsewhere := intent.State{Phase: "converged", Reason: "these nodes rank higher", Since: time.Unix(60, 0)}
	for node, subjects := range map[intent.Name]map[string]intent.State{
		"n1": {"hello": here, "lost": elsewhere, "site/www": {Want: "sha256:a", Have: "sha256:a", Phase: "converged"}},
		"n2": {"hello": elsewhere, "lost": elsewhere, "site/www": {Want: "sha256:a", Phase: "working", Reason: "2 files are missing"}},
		"n3": {"hello": {Want: "ready", Have: "claimed", Phase: "failed", Reason: "it cannot run"}, "lost": elsewhere},
		"n4": {"hello": {Have: "draining", Phase: "working", Reason: "other nodes shall have it"}},
	} {
		w.put(w.tree.Status("seed-placer", node), intent.Report{Node: node, Subjects: subjects})
		w.put(w.tree.Alive(node, "seed-placer"), "{}")
	}
	w.put(w.tree.Replica("hello", "n1"), intent.Replica{State: intent.ReplicaReady})
	w.put(w.tree.Replica("hello", "n5"), intent.Replica{State: intent.ReplicaReady}) // and says nothing
	f := w.read()
	got := ""
	for _, r := range f.Seeds {
		got += fmt.Sprintf("%s %d %v %s; ", r.Name, r.Nodes, r.Phases, r.Why)
	}
	if want := "hello 4 [{ready 2} {draining 1} {failed 1}] ; lost 0 [] these nodes rank higher; site/www 2 [{converged 1} {working 1}] ; "; got != want {
		t.Errorf("%s\nwant\n%s", got, want)
	}
	for _, c := range f.Changes {
		if c.Subject == "lost" {
			t.Errorf("that a seed is elsewhere is news: %+v", c)
		}
	}
}

// TestPendingTogether: instances that wait for the same reason are one entry, in the order of their numbers.
func TestPendingTogether(t *testing.T) {
	w := newTelling(t)
	w.put(w.tree.VM("web"), intent.VM{Region: intent.Regions{"SIN"}, Cores: 4, Memory: 8 * intent.GB, Count: 12})
	for n := range 12 {
		p := intent.Placement{State: intent.Pending, Reason: "full", Refused: map[string]int{"cores": 3, "cordoned": 5}}
		if n == 7 {
			p.Reason = "closed"
		}
		w.put(w.tree.PlacedVM(intent.Instance{VM: "web", Number: n}), p)
	}
	f := w.read()
	if len(f.Pending) != 2 || f.VMs.Pending != 12 {
		t.Fatalf("%+v", f.Pending)
	}
	p := f.Pending[0]
	if fmt.Sprint(p.Instances) != "[web.0 web.1 web.2 web.3 web.4 web.5 web.6 web.8 web.9 web.10 web.11]" || p.Wants != "4 cores, 8 GB in SIN" || fmt.Sprint(p.Refused) != "[{cordoned 5} {cores 3}]" {
		t.Errorf("%+v", p)
	}
}
