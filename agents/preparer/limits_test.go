package main

import (
	"archive/tar"
	"bytes"
	"crypto/rand"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/klauspost/compress/gzip"
)

// pack writes an artifact of one app for a repository on this host.
func (r *harness) pack(version string, fill func(*tar.Writer)) {
	r.Helper()
	var buf bytes.Buffer
	z := gzip.NewWriter(&buf)
	w := tar.NewWriter(z)
	fill(w)
	r.check(w.Close())
	r.check(z.Close())
	r.check(os.MkdirAll(filepath.Join(r.dir, "repo/slug"), 0o755))
	r.check(os.WriteFile(filepath.Join(r.dir, "repo/slug/slug_"+version+".tar.gz"), buf.Bytes(), 0o644))
}

// peak runs the agent to its end and returns what it said and the most memory it had, in kB. What the kernel counts for
// the parent would include the memory of this test at the moment of its making.
func (r *harness) peak(cmd *exec.Cmd) (string, int) {
	r.Helper()
	var out bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &out
	r.check(cmd.Start())
	ended := make(chan struct{})
	go func() { _ = cmd.Wait(); close(ended) }()
	most := 0
	for tick := time.NewTicker(2 * time.Millisecond); ; {
		select {
		case <-ended:
			tick.Stop()
			return out.String(), most
		case <-tick.C:
		}
		comm, _ := os.ReadFile(fmt.Sprintf("/proc/%d/cmdline", cmd.Process.Pid))
		status, _ := os.ReadFile(fmt.Sprintf("/proc/%d/status", cmd.Process.Pid))
		if _, rest, ok := strings.Cut(string(status), "VmHWM:"); ok && strings.Contains(string(comm), "--once") {
			now := 0
			_, _ = fmt.Sscan(rest, &now)
			most = max(most, now)
		}
	}
}

// TestMemory_BigArtifact_IsBounded: neither a big artifact nor a bomb makes the agent grow.
func TestMemory_BigArtifact_IsBounded(t *testing.T) {
	r := newHarness(t)
	noise := make([]byte, 1<<20)
	_, _ = rand.Read(noise)
	r.pack("big", func(w *tar.Writer) {
		r.check(w.WriteHeader(&tar.Header{Name: "bin/launch", Mode: 0o755, Typeflag: tar.TypeReg}))
		for n := range 60 {
			r.check(w.WriteHeader(&tar.Header{Name: fmt.Sprint("f", n), Mode: 0o644, Size: int64(len(noise)), Typeflag: tar.TypeReg}))
			_, err := w.Write(noise)
			r.check(err)
		}
	})
	r.pack("bomb", func(w *tar.Writer) {
		r.check(w.WriteHeader(&tar.Header{Name: "zeros", Mode: 0o644, Size: 256 << 20, Typeflag: tar.TypeReg}))
		for range 256 {
			_, err := w.Write(make([]byte, 1<<20))
			r.check(err)
		}
	})
	for version, says := range map[string]string{"big": "", "bomb": "slug/bomb: bad_archive: "} {
		r.put("clusters/slug/c/config", fmt.Sprintf(`{"versions":{%q:"active"}}`, version))
		cmd := r.agent(nil, "--once", "--repo", filepath.Join(r.dir, "repo"))
		out, peak := r.peak(cmd)
		if (says == "") != (cmd.ProcessState.ExitCode() == 0) || !strings.Contains(string(out), says) {
			t.Errorf("%s: exit code %d: %s", version, cmd.ProcessState.ExitCode(), out)
		}
		t.Logf("%s: peak of %d MiB", version, peak/1024)
		if peak == 0 || peak > 128*1024 {
			t.Errorf("%s takes %d kB", version, peak)
		}
	}
	if got := fmt.Sprint(r.installed()); got != "[slug_big]" {
		t.Errorf("installs are %s", got)
	}
}

// TestFileDescriptors_Exhausted_Reported: with hardly any file descriptors it says so rather than doing half of it, and
// with enough it goes on.
func TestFileDescriptors_Exhausted_Reported(t *testing.T) {
	r := newHarness(t)
	r.publish("v1", "v2", "v3", "v4")
	r.put("clusters/slug/c/config", `{"versions":{"v1":"active","v2":"prep","v3":"prep","v4":"prep"}}`)
	for _, limit := range []int{12, 16, 20, 32, 64} {
		cmd := r.agent([]string{"sh", "-c", fmt.Sprintf(`ulimit -n %d; exec "$0" "$@"`, limit)}, "--once")
		out, err := cmd.CombinedOutput()
		got := r.requireUsable(fmt.Sprint(limit, " files"))
		if err != nil && !strings.Contains(string(out), "too many open files") || err == nil && len(got) != 4 {
			t.Errorf("%d files: %v: %v: %s", limit, err, got, out)
		}
		t.Logf("%d files: %v, %v", limit, err, got)
	}
	if got := r.requireUsable("64 files"); len(got) != 4 {
		t.Errorf("installs are %s", got)
	}
	r.requireNoTempFiles("few files")
}

// TestTwoAgents_SameBasedir_InstallsStayWhole lets agents with state directories of their own, which no lock keeps
// apart, work on one basedir. They may wait for each other; what comes of it is whole.
func TestTwoAgents_SameBasedir_InstallsStayWhole(t *testing.T) {
	r := newHarness(t)
	r.publish("v1", "v2", "v3")
	r.put("clusters/slug/c/config", `{"versions":{"v1":"active","v2":"prep","v3":"prep"}}`)
	var all sync.WaitGroup
	for n := range 4 {
		cmd := r.agent(nil, "--once", "--state-dir", filepath.Join(r.dir, fmt.Sprint("state", n)))
		all.Go(func() { _, _ = cmd.CombinedOutput() })
	}
	all.Wait()
	r.requireUsable("together")
	if out, err := r.agent(nil, "--once", "--state-dir", filepath.Join(r.dir, "state0")).CombinedOutput(); err != nil {
		t.Errorf("%v: %s", err, out)
	}
	if got := fmt.Sprint(r.requireUsable("afterwards")); got != "[slug_v1 slug_v2 slug_v3]" {
		t.Errorf("installs are %s", got)
	}
	for _, dir := range []string{staging, trash} {
		if left, _ := os.ReadDir(filepath.Join(r.basedir(), dir)); len(left) > 0 {
			t.Errorf("left over: %v", left)
		}
	}
}

// TestPrune_LinkChanged_KeepsInstall: setlive may have turned to a version since it was found to be surplus.
func TestPrune_LinkChanged_KeepsInstall(t *testing.T) {
	for _, link := range []string{"current", "previous"} {
		r := newHarness(t)
		r.publish("v1")
		r.put("clusters/slug/c/config", `{"versions":{"v1":"active"}}`)
		if out, err := r.agent(nil, "--once").CombinedOutput(); err != nil {
			t.Fatalf("%v: %s", err, out)
		}
		step := Step{Kind: Prune, App: "slug", Version: "v1", Basedir: r.basedir(), Why: "surplus"}
		path := filepath.Join(r.basedir(), link)
		r.check(os.Symlink(filepath.Join(r.basedir(), "installs/slug_v1"), path))
		if err := prune(step); err != nil || len(r.requireUsable(link)) != 1 {
			t.Errorf("%s: pruned: %v", link, err)
		}
		r.check(os.Remove(path))
		if err := prune(step); err != nil || len(r.requireUsable(link)) != 0 {
			t.Errorf("%s: not pruned: %v", link, err)
		}
	}
}
