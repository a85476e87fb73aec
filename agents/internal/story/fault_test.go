package story

import (
	"fmt"
	"math/rand/v2"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"
)

// declareSimple declares an app that does nothing but run, with versions v1 (active) and v2, and one port.
func (w *harness) declareSimple(app string, port int) {
	w.Helper()
	for _, version := range []string{"v1", "v2"} {
		pack := app + "-" + version
		w.write(filepath.Join(w.dir, "pack", pack, "bin/launch"), "#!/bin/sh\nexec sleep 1000000\n")
		w.packedFrom(app, version, pack)
	}
	w.put("nodes/"+node+"/"+app, `{"cluster":"production"}`)
	w.put("clusters/"+app+"/production/deploy_config", fmt.Sprintf(
		`{"basedir":%q,"ports":[%d],"health":{"type":"up","min_healthy":"100ms","interval":"50ms"}}`, w.basedir(app), port))
	w.activate(program{app: app}, "v1", "v2")
}

func (w *harness) basedir(app string) string { return filepath.Join(w.dir, "srv", app) }

// live is the version that current points to, and that a process of was started from.
func (w *harness) live(app string) (string, error) {
	target, err := os.Readlink(filepath.Join(w.basedir(app), "current"))
	if err != nil {
		return "", err
	}
	r, err := w.report("setlive")
	if err != nil {
		return "", err
	}
	version := strings.TrimPrefix(filepath.Base(target), app+"_")
	if s := r.Subjects[app]; !strings.Contains(s.Have, version) {
		return "", fmt.Errorf("current is %s, setlive says %+v", version, s)
	}
	return version, nil
}

// runs waits until an app's current link and its process are of the version.
func (w *harness) runs(app, version string) {
	w.Helper()
	w.eventually(app+" runs "+version, func() error {
		got, err := w.live(app)
		if err == nil && got != version {
			err = fmt.Errorf("%s runs", got)
		}
		return err
	})
}

// TestFaults_AgentsKilled_ConvergeAfterwards kills all agents again and again while versions change. In the end there is what was
// declared last, and nothing half done is left over.
func TestFaults_AgentsKilled_ConvergeAfterwards(t *testing.T) {
	w := newHarness(t, "embedded", "runit")
	rounds := 6
	if os.Getenv("PLATYPUS_FAULTS") != "" {
		rounds = 60
	}
	apps := []string{"a", "b", "c"}
	for i, app := range apps {
		w.declareSimple(app, 20000+i)
	}
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	random := rand.New(rand.NewPCG(seed, 0))
	version := "v1"
	for round := range rounds {
		agents := []*process{w.agent("preparer", "--resync", "1s"), w.agent("setlive", "--resync", "1s")}
		time.Sleep(time.Duration(random.IntN(700)) * time.Millisecond)
		version = []string{"v2", "v1"}[round%2]
		for _, app := range apps {
			w.activate(program{app: app}, version, map[string]string{"v1": "v2", "v2": "v1"}[version])
		}
		time.Sleep(time.Duration(random.IntN(700)) * time.Millisecond)
		for _, p := range agents {
			p.end(syscall.SIGKILL)
		}
	}
	w.agent("preparer")
	w.agent("setlive")
	for _, app := range apps {
		w.runs(app, version)
		w.eventually("nothing is left over", func() error {
			left, _ := filepath.Glob(filepath.Join(w.basedir(app), ".staging", "*"))
			trash, _ := filepath.Glob(filepath.Join(w.basedir(app), ".trash", "*"))
			if left = append(left, trash...); len(left) > 0 {
				return fmt.Errorf("%v", left)
			}
			return nil
		})
	}
	t.Logf("%d rounds of kill -9", rounds)
}

// TestFaults_StoreDown_AppsKeepRunning takes the store away, starts the agents anew without it, brings it back empty, and then as it
// was. What runs goes on running all the time.
func TestFaults_StoreDown_AppsKeepRunning(t *testing.T) {
	w := newHarness(t, "embedded", "runit")
	for i, app := range []string{"a", "b", "c"} {
		w.declareSimple(app, 20000+i)
	}
	preparer, setlive := w.agent("preparer"), w.agent("setlive", "--resync", "1s")
	for _, app := range []string{"a", "b", "c"} {
		w.runs(app, "v1")
	}
	pids := w.pids()

	w.store.end(syscall.SIGKILL)
	setlive.end(syscall.SIGTERM)
	preparer.end(syscall.SIGTERM)
	w.agent("preparer")
	setlive = w.agent("setlive", "--resync", "1s")
	w.eventually("setlive goes by what it remembers", func() error {
		if !strings.Contains(setlive.said.String(), "last good intent") {
			return fmt.Errorf("it says %s", setlive.said)
		}
		return nil
	})
	if code, out := w.once("port-authority", "--dry-run"); code != 2 {
		t.Errorf("port-authority without a store: exit %d, want 2: %s", code, out)
	}
	data := filepath.Join(w.dir, "store")
	if err := os.Rename(data, data+".kept"); err != nil {
		t.Fatal(err)
	}
	_ = os.Remove(w.socket)
	w.startStore("embedded")
	w.eventually("setlive holds everything", func() error {
		r, err := w.report("setlive")
		if err != nil {
			return err
		}
		if r.Held == nil || len(r.Held.Removes) != 3 {
			return fmt.Errorf("it says %+v", r)
		}
		return nil
	})
	w.platypus(2, "status", "--check")

	w.store.end(syscall.SIGTERM)
	_ = os.RemoveAll(data)
	if err := os.Rename(data+".kept", data); err != nil {
		t.Fatal(err)
	}
	_ = os.Remove(w.socket)
	w.startStore("embedded")
	for _, app := range []string{"a", "b", "c"} {
		w.runs(app, "v1")
	}
	if now := w.pids(); now != pids {
		t.Errorf("processes were %s and are %s", pids, now)
	}
}

// TestGuard_MassRemoval_HeldUntilConfirmed deletes all apps of a node at once, be it only one: nothing happens until a person confirms.
func TestGuard_MassRemoval_HeldUntilConfirmed(t *testing.T) {
	for _, apps := range [][]string{{"a"}, {"a", "b", "c"}} {
		t.Run(fmt.Sprint(len(apps)), func(t *testing.T) { massRemoval(newHarness(t, "embedded", "runit"), apps) })
	}
}

func massRemoval(w *harness, apps []string) {
	for i, app := range apps {
		w.declareSimple(app, 20000+i)
	}
	w.agent("preparer")
	w.agent("setlive", "--resync", "1s")
	for _, app := range apps {
		w.runs(app, "v1")
	}
	pids := w.pids()
	if _, err := w.try(http.MethodDelete, "platypus/intent/nodes/"+node+"/?recurse", ""); err != nil {
		w.Fatal(err)
	}
	w.eventually("setlive holds everything", func() error {
		r, err := w.report("setlive")
		if err == nil && (r.Held == nil || len(r.Held.Removes) != len(apps)) {
			err = fmt.Errorf("it says %+v", r)
		}
		return err
	})
	if now := w.pids(); now != pids {
		w.Fatalf("processes were %s and are %s", pids, now)
	}
	w.platypus(0, "confirm", node, "--yes")
	w.eventually("everything is removed", func() error {
		if now := w.pids(); now != "" {
			return fmt.Errorf("%s still run", now)
		}
		return nil
	})
}

// TestAgent_SecondCopy_Exits starts an agent twice.
func TestAgent_SecondCopy_Exits(t *testing.T) {
	w := newHarness(t, "embedded", "runit")
	w.firewall()
	w.declareSimple("a", 20000)
	names := []string{"preparer", "setlive"}
	if w.netns != "" {
		names = append(names, "port-authority")
	}
	for _, name := range names {
		first := w.agent(name)
		w.eventually(name+" holds its lock", func() error { // the file is there before it is locked
			lock, err := os.OpenFile(filepath.Join(w.dir, "state", name, "lock"), os.O_RDWR, 0)
			if err != nil {
				return err
			}
			defer lock.Close()
			holder := syscall.Flock_t{Type: syscall.F_WRLCK}
			if err := syscall.FcntlFlock(lock.Fd(), syscall.F_GETLK, &holder); err != nil || int(holder.Pid) != first.cmd.Process.Pid {
				return fmt.Errorf("%d holds it (%v)", holder.Pid, err)
			}
			return nil
		})
		code, out := 0, ""
		w.eventually("the second steps back", func() error {
			if code, out = w.once(name); code != 75 {
				return fmt.Errorf("exit %d: %s", code, out)
			}
			return nil
		})
		if !strings.Contains(out, fmt.Sprint(first.cmd.Process.Pid)) {
			t.Errorf("%s does not say who holds the lock: %s", name, out)
		}
	}
}

// pids names the processes of all services.
func (w *harness) pids() string {
	out, _ := exec.Command("sh", "-c", `for s in "$1"/*/supervise/pid; do [ -s "$s" ] && cat "$s"; done`, "sh", w.runit.Services).Output()
	return strings.Join(strings.Fields(string(out)), " ")
}
