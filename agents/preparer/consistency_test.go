package main

import (
	"archive/tar"
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/klauspost/compress/gzip"

	"github.com/platypus-platform/platypus/store/embedtest"
)

// TestPrune_StaleServer_NeedsConsistentRead: a server that lags behind a leader's change still says that v2 is not
// wanted. It is not believed, and what it asks for besides that is done.
func TestPrune_StaleServer_NeedsConsistentRead(t *testing.T) {
	r := newHarness(t)
	past := embedtest.Open(t)
	r.publish("v1", "v2", "v3")
	once := func(code int, says string) {
		t.Helper()
		cmd := r.agent(nil, "--once", "--keep", "0")
		out, _ := cmd.CombinedOutput()
		if cmd.ProcessState.ExitCode() != code || !strings.Contains(string(out), says) {
			t.Errorf("exit code %d, want %d and %q: %s", cmd.ProcessState.ExitCode(), code, says, out)
		}
	}
	deploy := fmt.Sprintf(`{"basedir":%q}`, r.basedir())
	r.put("clusters/slug/c/deploy_config", deploy)
	r.put("clusters/slug/c/config", `{"versions":{"v1":"active","v2":"prep"}}`)
	once(0, "")

	behind := embedtest.Serve(t, past)
	lag := &harness{T: t, api: behind}
	for key, value := range map[string]string{"nodes/web1/slug": `{"cluster":"c"}`, "clusters/slug/c/deploy_config": deploy, "clusters/slug/c/config": `{"versions":{"v1":"active","v3":"prep"}}`} {
		lag.put(key, value)
	}
	r.stale.Store(&past)
	once(1, "slug/v2: held: the store's newest intent does not ask for it")
	if got := fmt.Sprint(r.requireUsable("stale")); got != "[slug_v1 slug_v2 slug_v3]" {
		t.Errorf("installs are %s", got)
	}
	r.stale.Store(nil)
	r.put("clusters/slug/c/config", `{"versions":{"v1":"active","v3":"prep"}}`)
	once(0, "")
	if got := fmt.Sprint(r.requireUsable("agreed")); got != "[slug_v1 slug_v3]" {
		t.Errorf("installs are %s", got)
	}
}

// TestTERM_DuringExtraction_LeavesNothingHalfDone: the agent ends at once and well, nothing half done is visible, and
// the next one succeeds.
func TestTERM_DuringExtraction_LeavesNothingHalfDone(t *testing.T) {
	r := newHarness(t)
	const files = 60_000
	var buf bytes.Buffer
	z := gzip.NewWriter(&buf)
	w := tar.NewWriter(z)
	r.check(w.WriteHeader(&tar.Header{Name: "bin/launch", Mode: 0o755, Typeflag: tar.TypeReg}))
	for n := range files {
		r.check(w.WriteHeader(&tar.Header{Name: fmt.Sprintf("d%d/f%d", n%100, n), Mode: 0o644, Typeflag: tar.TypeReg}))
	}
	r.check(w.Close())
	r.check(z.Close())
	r.check(os.MkdirAll(filepath.Join(r.dir, "repo/slug"), 0o755))
	r.check(os.WriteFile(filepath.Join(r.dir, "repo/slug/slug_v1.tar.gz"), buf.Bytes(), 0o644))
	r.put("clusters/slug/c/config", `{"versions":{"v1":"active"}}`)
	cmd, out, ended := r.run("--repo", filepath.Join(r.dir, "repo"))
	r.eventually("it extracts", func() bool {
		some, _ := filepath.Glob(filepath.Join(r.basedir(), staging, "*", "d*"))
		return len(some) > 0
	})
	begin := time.Now()
	r.check(cmd.Process.Signal(syscall.SIGTERM))
	select {
	case err := <-ended:
		if err != nil {
			t.Errorf("ends with %v: %s", err, out)
		}
	case <-time.After(hang):
		t.Fatal("does not stop")
	}
	t.Logf("stopped after %s", time.Since(begin))
	if _, err := os.Stat(filepath.Join(r.basedir(), "installs/slug_v1")); err == nil {
		t.Error("it was not amid the extraction, or something half done is visible")
	}
	if strings.Contains(out.String(), "WARN") {
		t.Errorf("to be told to stop is no fault: %s", out)
	}
	if text, err := r.agent(nil, "--once", "--repo", filepath.Join(r.dir, "repo")).CombinedOutput(); err != nil {
		t.Errorf("%v: %s", err, text)
	}
	if all, _ := filepath.Glob(filepath.Join(r.basedir(), "installs/slug_v1/d*/f*")); len(all) != files {
		t.Errorf("%d files of %d", len(all), files)
	}
	if left, _ := os.ReadDir(filepath.Join(r.basedir(), staging)); len(left) > 0 {
		t.Errorf("left over: %v", left)
	}
}
