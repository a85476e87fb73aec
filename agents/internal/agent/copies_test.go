package agent_test

import (
	"context"
	"encoding/json"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/platypus-platform/platypus/intent"
	"github.com/platypus-platform/platypus/store"
	"github.com/platypus-platform/platypus/store/embedtest"
)

// once runs a second copy of the toy with a state directory and a host of its own, and returns what it says.
func (w *harness) once(args ...string) string {
	w.t.Helper()
	cmd := exec.Command("toy", append([]string{"--node=web1", "--dir=" + w.t.TempDir(), "--state-dir=" + w.t.TempDir(), "--once"}, args...)...)
	cmd.Env = append(os.Environ(), "CONSUL_HTTP_ADDR="+w.server.URL)
	said, err := cmd.CombinedOutput()
	if err != nil {
		w.t.Fatalf("%v: %s", err, said)
	}
	return string(said)
}

// replaceStore puts another store behind the address of the first.
func (w *harness) replaceStore(handler http.Handler) {
	w.gate.Lock()
	w.behind = handler
	w.gate.Unlock()
	w.server.CloseClientConnections()
	w.until("reachable", func() bool {
		_, _, err := w.store.Get(w.t.Context(), "any", store.Default)
		return err == nil
	})
}

// TestOneShot_BesideRunningAgent_LeavesItsReport: what a second copy finds in another place is not how the node is.
func TestOneShot_BesideRunningAgent_LeavesItsReport(t *testing.T) {
	w := newHarness(t)
	w.assign("slug", "v1")
	w.start()
	reported := func() bool { return w.report().Subjects["slug"].Phase == "converged" }
	w.until("reported", reported)
	w.until("alive", w.alive)
	before := w.report()
	if said := w.once(); !strings.Contains(said, "another toy runs as node web1 (pid ") || !strings.Contains(said, "this run is not reported") {
		t.Errorf("it says %q", said)
	}
	if after := w.report(); !after.Since.Equal(before.Since) || after.Subjects["slug"].Since != before.Subjects["slug"].Since {
		t.Errorf("the report was %+v and is %+v", before, after)
	}
	// Whoever writes another report all the same is corrected.
	foreign, err := json.Marshal(intent.Report{Agent: "toy", Node: "web1", Subjects: map[string]intent.State{"slug": {Phase: "failed"}}})
	if err != nil {
		t.Fatal(err)
	}
	w.put(w.tree.Status("toy", "web1"), string(foreign))
	w.until("corrected", reported)
	w.stop()
	// Alone, a single run reports.
	if said := w.once(); strings.Contains(said, "not reported") {
		t.Errorf("it says %q", said)
	}
	if r := w.report(); r.Subjects["slug"].Phase != "converged" {
		t.Errorf("report %+v", r)
	}
}

// TestSecondCopy_DoesNotReport while the first shows its sign of life.
func TestSecondCopy_DoesNotReport(t *testing.T) {
	w := newHarness(t)
	w.assign("slug", "v1")
	w.start()
	w.until("alive", w.alive)
	w.until("reported", func() bool { return w.report().Subjects["slug"].Phase == "converged" })
	first := w.cmd
	w.start("--state-dir="+w.path("other"), "--broken=slug")
	w.until("said", func() bool { return strings.Contains(w.logText(), "another toy runs as node web1 (pid ") })
	w.assign("slug", "v2")
	w.until("v2", w.has("slug", "v2")) // by the first
	w.until("reported by the first", func() bool { return w.report().Subjects["slug"].Have == "v2" })
	if phase := w.report().Subjects["slug"].Phase; phase != "converged" {
		t.Errorf("slug is %s", phase)
	}
	// The first one ends: the second takes over.
	if err := first.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	w.assign("slug", "v3")
	w.until("reported by the second", func() bool { return w.report().Subjects["slug"].Phase == "failed" })
	w.stop()
}

// TestKilledAgent_StartsAgain_ReportsAtOnce: its own former sign of life must not keep it silent for minutes.
func TestKilledAgent_StartsAgain_ReportsAtOnce(t *testing.T) {
	w := newHarness(t)
	w.assign("slug", "v1")
	w.start()
	w.until("alive", w.alive)
	if err := w.cmd.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	_ = w.cmd.Wait()
	w.start()
	w.assign("slug", "v2")
	w.until("reported", func() bool { return w.report().Subjects["slug"].Have == "v2" })
	if strings.Contains(w.logText(), "another toy") {
		t.Errorf("it takes its predecessor for another copy:\n%s", w.logText())
	}
	w.stop()
}

// TestStoreSetBack_HoldsRemovals: a store that was restored from a backup names what was deployed since as little as
// one from which it was deleted.
func TestStoreSetBack_HoldsRemovals(t *testing.T) {
	w := newHarness(t)
	w.assign("a", "v1")
	backup := embedtest.Open(t)
	current := w.behind
	w.replaceStore(backup)
	w.assign("a", "v1")
	w.replaceStore(current)
	for range 20 {
		w.put("unrelated", "x")
	}
	w.assign("a", "v1")
	w.assign("b", "v1")
	w.start()
	w.until("both", func() bool { return w.has("a", "v1")() && w.has("b", "v1")() })
	w.until("reported", func() bool { return len(w.report().Subjects) == 2 && w.report().Converged })
	w.setReachable(false)
	w.until("out of reach", func() bool { return strings.Contains(w.logText(), "everything stays as it is") })
	w.gate.Lock()
	w.behind = backup
	w.gate.Unlock()
	w.setReachable(true)
	w.until("held", func() bool { return w.report().Held != nil })
	if r := w.report(); !strings.Contains(r.Held.Why, "the store went back from index ") || !w.has("b", "v1")() {
		t.Errorf("held %+v; it said:\n%s", r.Held, w.logText())
	}
	// A restart forgets nothing.
	w.stop()
	w.start()
	w.until("held again", func() bool { return strings.Count(w.logText(), "the store went back from index ") >= 2 })
	if !w.has("b", "v1")() {
		t.Error("it was removed")
	}
	// A person agrees.
	value, err := json.Marshal(intent.Confirmation{Removes: w.report().Held.Removes, At: time.Now()})
	if err != nil {
		t.Fatal(err)
	}
	w.put(w.tree.Confirm("web1", "toy"), string(value))
	w.until("removed", func() bool { _, err := os.Stat(filepath.Join(w.path("host"), "b")); return os.IsNotExist(err) })
	w.until("reported", func() bool { return w.report().Held == nil })
	// From then on a removal is an ordinary one.
	w.assign("c", "v1")
	w.until("c", w.has("c", "v1"))
	if err := w.store.Delete(context.Background(), w.tree.Assignment("web1", "c")); err != nil {
		t.Fatal(err)
	}
	w.until("c is removed", func() bool { _, err := os.Stat(filepath.Join(w.path("host"), "c")); return os.IsNotExist(err) })
	w.stop()
}

// TestLogThatNobodyReads_StopsNeitherWorkNorEnd: the pipe to svlogd is full while that waits for room on the disk.
func TestLogThatNobodyReads_StopsNeitherWorkNorEnd(t *testing.T) {
	w := newHarness(t)
	w.assign("slug", "v1")
	read, write, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer read.Close()
	fd := int(write.Fd())
	if err := syscall.SetNonblock(fd, true); err != nil {
		t.Fatal(err)
	}
	for err == nil { // until it is full
		_, err = syscall.Write(fd, make([]byte, 4096))
	}
	if err := syscall.SetNonblock(fd, false); err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command("toy", "--node=web1", "--dir="+w.path("host"), "--state-dir="+w.path("state"), "--resync=1s", "--log-level=debug")
	cmd.Env = append(os.Environ(), "CONSUL_HTTP_ADDR="+w.server.URL)
	cmd.Stderr = write
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	write.Close()
	t.Cleanup(func() { _ = cmd.Process.Kill(); _ = cmd.Wait() })
	w.until("slug at v1", w.has("slug", "v1"))
	w.assign("slug", "v2")
	w.until("slug at v2", w.has("slug", "v2"))
	w.cmd = cmd
	ended := make(chan struct{})
	go func() { w.stop(); close(ended) }()
	w.until("stopped", func() bool {
		select {
		case <-ended:
			return true
		default:
			return false
		}
	})
}
