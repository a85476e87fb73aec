package main

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/platypus-platform/platypus/intent"
)

// stage brings the host to where all kinds of steps are due: two versions to fetch, one to prune, leftovers to sweep.
func (r *harness) stage() {
	r.Helper()
	r.publish("v0", "v1", "v2", "v3")
	for _, versions := range []string{`"v0":"active"`, `"v1":"active"`} {
		r.put("clusters/slug/c/config", `{"versions":{`+versions+`}}`)
		out, err := r.agent(nil, "--once").CombinedOutput()
		if err != nil {
			r.Fatalf("%v: %s", err, out)
		}
	}
	r.check(os.MkdirAll(filepath.Join(r.basedir(), staging, "slug_v9.1-1/bin"), 0o755))
	r.check(os.Remove(filepath.Join(r.dir, "state/basedirs.json"))) // so that it is written amid the faults
	r.put("clusters/slug/c/deploy_config", fmt.Sprintf(`{"basedir":%q,"keep":1}`, r.basedir()))
	r.put("clusters/slug/c/config", `{"versions":{"v2":"active","v3":"prep"}}`)
}

// requireUsable demands that every install is all there: what has a name is complete.
func (r *harness) requireUsable(when string) []string {
	r.Helper()
	entries, err := os.ReadDir(filepath.Join(r.basedir(), "installs"))
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		r.Fatal(err)
	}
	var names []string
	for _, e := range entries {
		names = append(names, e.Name())
		dir := filepath.Join(r.basedir(), "installs", e.Name())
		record, err := os.ReadFile(filepath.Join(dir, intent.Marker))
		if _, ok := decodeRecord(record); err != nil || !ok {
			r.Errorf("%s: %s has no record: %v", when, e.Name(), err)
		}
		version, _ := os.ReadFile(filepath.Join(dir, "VERSION"))
		launch, _ := os.ReadFile(filepath.Join(dir, "bin/launch"))
		readme, _ := os.ReadFile(filepath.Join(dir, "share/readme"))
		if "slug_"+string(version) != e.Name()+"\n" || len(launch) != 26 || len(readme) != 8 {
			r.Errorf("%s: %s is incomplete: %q %q %q", when, e.Name(), version, launch, readme)
		}
	}
	return names
}

// requireConverged runs the agent once, undisturbed, and demands that everything is as it would be had nothing
// happened.
func (r *harness) requireConverged(when string) {
	r.Helper()
	out, err := r.agent(nil, "--once").CombinedOutput()
	if err != nil {
		r.Errorf("%s: next run: %v: %s", when, err, out)
	}
	got := fmt.Sprint(r.requireUsable(when + ", next run"))
	// A full disk costs spare installs, and which of them are left depends on when it was met.
	full := strings.Contains(when, "ENOSPC") || strings.Contains(when, "EDQUOT")
	tight := full && (got == "[slug_v0 slug_v2 slug_v3]" || got == "[slug_v2 slug_v3]")
	if got != "[slug_v1 slug_v2 slug_v3]" && !tight {
		r.Errorf("%s: next run leaves %s: %s", when, got, out)
	}
	for _, dir := range []string{staging, trash} {
		left, err := os.ReadDir(filepath.Join(r.basedir(), dir))
		if err != nil || len(left) > 0 {
			r.Errorf("%s: next run leaves %v in %s: %v", when, left, dir, err)
		}
	}
	r.requireNoTempFiles(when)
}

// requireNoTempFiles demands that no file or link lies about that was on its way to another name.
func (r *harness) requireNoTempFiles(when string) {
	r.Helper()
	err := filepath.WalkDir(r.dir, func(path string, e fs.DirEntry, err error) error {
		if err == nil && strings.HasPrefix(e.Name(), ".") && strings.HasSuffix(e.Name(), ".platypus") {
			r.Errorf("%s: next run leaves %s", when, path)
		}
		return err
	})
	r.check(err)
}

// TestFaults_EachCall_InstallsStayWhole kills the agent at the N-th call of each kind that changes something, or lets
// that call fail, and runs it once more. At any moment each install is whole or absent; afterwards nothing tells that
// anything happened. The normal run takes a handful of the points, PLATYPUS_FAULTS=1 all of them.
func TestFaults_EachCall_InstallsStayWhole(t *testing.T) {
	if _, err := exec.LookPath("strace"); err != nil {
		t.Skip("needs strace")
	}
	if out, err := exec.Command("strace", "-o", os.DevNull, "true").CombinedOutput(); err != nil {
		t.Skipf("strace does not work here: %v: %s", err, out)
	}
	points := []struct {
		call string
		few  []int
	}{
		{"renameat", []int{1, 3}}, {"mkdirat", []int{2}}, {"openat", nil}, {"write", []int{25}}, {"fchmodat", nil}, {"fchmod", []int{2}},
		{"syncfs", []int{1}}, {"fsync", []int{2}}, {"unlinkat", []int{1}}, {"ftruncate", nil}, {"utimensat", nil}, {"flock", nil},
	}
	faults := []string{"signal=SIGKILL", "error=ENOSPC", "error=EIO", "error=EDQUOT", "error=EROFS"}
	all := os.Getenv("PLATYPUS_FAULTS") != ""
	hits := 0
	for _, p := range points {
		for _, fault := range faults {
			if strings.HasPrefix(fault, "error") && (p.call == "openat" || p.call == "flock" || p.call == "write" && !all) {
				continue
			}
			few := p.few
			if all {
				few = upTo(150)
			}
			misses := 0
			for _, n := range few {
				if misses >= 3 {
					break // the agent makes no more calls of this kind than that
				}
				if t.Run(fmt.Sprintf("%s/%s/%d", p.call, fault, n), func(t *testing.T) {
					if !hit(t, p.call, fault, n) {
						misses++
						return
					}
					hits++
				}); t.Failed() && !all {
					return
				}
			}
		}
	}
	t.Logf("%d faults injected", hits)
	if hits == 0 {
		t.Error("no fault was injected at all")
	}
}

func upTo(n int) (all []int) {
	for i := range n {
		all = append(all, i+1)
	}
	return all
}

// faultText is what a fault is called where it makes the agent fail.
var faultText = map[string]*regexp.Regexp{
	"error=ENOSPC": regexp.MustCompile("no_space|no space left"),
	"error=EDQUOT": regexp.MustCompile("no_space|quota exceeded"),
	"error=EROFS":  regexp.MustCompile("read_only|read-only file system"),
	"error=EIO":    regexp.MustCompile("input/output error"),
}

// hit injects one fault and reports whether it took place.
func hit(t *testing.T, call, fault string, n int) bool {
	r := newHarness(t)
	r.stage()
	log := filepath.Join(t.TempDir(), "strace")
	cmd := r.agent([]string{"strace", "-f", "-o", log, "-e", "trace=" + call, "-e", fmt.Sprintf("inject=%s:%s:when=%d", call, fault, n)}, "--once")
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	done := time.AfterFunc(2*time.Minute, func() { _ = syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL) })
	out, err := cmd.CombinedOutput()
	if !done.Stop() {
		t.Fatalf("hangs: %s", out)
	}
	trace, _ := os.ReadFile(log)
	took := bytes.Contains(trace, []byte("(INJECTED)")) || bytes.Contains(trace, []byte("killed by SIGKILL"))
	when := fmt.Sprintf("%s at the %d. %s (%v)", fault, n, call, err)
	if says := faultText[fault]; took && err != nil && says != nil && !says.Match(out) {
		t.Errorf("%s: it does not say so: %s", when, out)
	}
	r.requireUsable(when)
	r.requireConverged(when)
	return took
}
