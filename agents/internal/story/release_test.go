package story

import (
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/platypus-platform/platypus/agents/internal/testhost"
)

// TestRelease brings a program live, upgrades it under load, breaks a release and sees the one before come back, rolls
// back without a repository, and takes the app away, on each store and under each supervisor.
func TestRelease(t *testing.T) {
	for _, store := range []string{"embedded", "consul"} {
		for _, supervisor := range []string{"runit", "systemd"} {
			for _, p := range []program{nginx, redis} {
				t.Run(store+"/"+supervisor+"/"+p.app, func(t *testing.T) {
					t.Parallel() // they wait most of the time
					release(newHarness(t, store, supervisor), p)
				})
			}
		}
	}
}

func release(w *harness, p program) {
	port := freePort(w.TB)
	for _, version := range []string{"v1", "v2"} {
		w.publish(p, port, version, false)
	}
	w.publish(p, port, "v3", true)
	w.write(filepath.Join(w.dir, "run/.keep"), "")
	w.firewall()

	w.put("nodes/"+node+"/"+p.app, `{"cluster":"production"}`)
	w.put("clusters/"+p.app+"/production/deploy_config", fmt.Sprintf(`{"basedir":%q,"ports":[%s],"health":`+p.health+`}`,
		filepath.Join(w.dir, "srv", p.app), port, port))
	w.activate(p, "v1", "v2")
	w.agent("preparer")
	w.agent("setlive")
	if w.netns != "" {
		w.agent("port-authority")
	}
	w.answers(p, port, "v1")
	w.converged()
	w.open(p, port, true)

	c := p.client(port)
	w.activate(p, "v2", "v1")
	w.answers(p, port, "v2")
	w.converged()
	w.Logf("upgrade: %s", c)

	w.activate(p, "v3", "v1", "v2")
	w.eventually("the broken release is parked", func() error {
		r, err := w.report("setlive")
		if err != nil {
			return err
		}
		if s := r.Subjects[p.app]; s.Have != "v2" || s.Phase != "reverted" || !strings.Contains(s.Reason, "from v3") {
			return fmt.Errorf("setlive says %+v", s)
		}
		return nil
	})
	w.answers(p, port, "v2")
	w.Logf("after a broken release:\n%s", w.platypus(2, "status", "--check"))

	// The way back needs no repository.
	if err := os.Rename(filepath.Join(w.dir, "repo"), filepath.Join(w.dir, "gone")); err != nil {
		w.Fatal(err)
	}
	w.activate(p, "v1", "v2")
	w.answers(p, port, "v1")
	w.converged()

	// The last app of a node goes only when a person confirms it.
	w.remove("nodes/" + node + "/" + p.app)
	w.eventually("its removal is held", func() error {
		r, err := w.report("setlive")
		if err != nil || r.Subjects[p.app].Phase != "held" {
			return fmt.Errorf("setlive says %+v, %v", r.Subjects[p.app], err)
		}
		return nil
	})
	w.answers(p, port, "v1")
	w.platypus(0, "confirm", node, "--yes")
	w.eventually("the app is gone", func() error {
		if version, err := p.asks(port); err == nil {
			return fmt.Errorf("%s still answers", version)
		}
		if _, err := os.Lstat(filepath.Join(w.dir, "srv", p.app, "current")); err == nil {
			return fmt.Errorf("current is still there")
		}
		return nil
	})
	w.open(p, port, false)
}

func (w *harness) activate(p program, active string, prepared ...string) {
	w.Helper()
	versions := fmt.Sprintf("%q:\"active\"", active)
	for _, v := range prepared {
		versions += fmt.Sprintf(",%q:\"prep\"", v)
	}
	w.put("clusters/"+p.app+"/production/config", `{"versions":{`+versions+`}}`)
}

func (w *harness) answers(p program, port, version string) {
	w.Helper()
	w.eventually(p.app+" answers as "+version, func() error {
		got, err := p.asks(port)
		if err == nil && got != version {
			err = fmt.Errorf("%q answers", got)
		}
		return err
	})
}

// converged waits until the monitor's probe is content.
func (w *harness) converged() {
	w.Helper()
	w.eventually("everything is converged", func() error {
		cmd := w.command("platypus", "status", "--check")
		if out, err := cmd.CombinedOutput(); err != nil {
			return fmt.Errorf("%w: %s", err, out)
		}
		return nil
	})
}

// networks counts those that this process has made.
var networks atomic.Int64

// firewall gives port-authority a network namespace of its own, when this user may make one.
func (w *harness) firewall() {
	if os.Geteuid() != 0 {
		w.Log("not root: the story goes without port-authority")
		return
	}
	testhost.NeedTools(w.TB, "ip", "iptables")
	name := fmt.Sprintf("platypus-%d-%d", os.Getpid(), networks.Add(1))
	if out, err := exec.Command("ip", "netns", "add", name).CombinedOutput(); err != nil {
		w.Logf("no network namespace, the story goes without port-authority: %s", out)
		return
	}
	w.netns = name
	w.Cleanup(func() { _ = exec.Command("ip", "netns", "delete", name).Run() })
}

// open checks what the firewall says of a port.
func (w *harness) open(p program, port string, want bool) {
	w.Helper()
	if w.netns == "" {
		return
	}
	w.eventually("the firewall follows", func() error {
		rules, err := exec.Command("ip", "netns", "exec", w.netns, "iptables-save").CombinedOutput()
		if open := strings.Contains(string(rules), "--dport "+port) && strings.Contains(string(rules), p.app); err != nil || open != want {
			return fmt.Errorf("open is %v, want %v (%v):\n%s", open, want, err, rules)
		}
		return nil
	})
}

func (w *harness) remove(key string) {
	w.Helper()
	if _, err := w.try(http.MethodDelete, "platypus/intent/"+key, ""); err != nil {
		w.Fatal(err)
	}
}
