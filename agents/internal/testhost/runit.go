package testhost

import (
	"bytes"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"syscall"
	"testing"
)

// Runit is a running runsvdir with folders of its own.
type Runit struct {
	// Services is the folder that runsvdir scans (every 5 s), Stage the folder beside it for the service folders.
	Services, Stage string

	cmd *exec.Cmd
	log string
}

// NewRunit starts a runsvdir on an empty folder. At the end of the test it and all its services end, also those
// that ignore TERM.
func NewRunit(t testing.TB) *Runit {
	t.Helper()
	NeedTools(t, "runsvdir", "runsv", "svlogd", "chpst")
	root := t.TempDir()
	if err := os.Chmod(root, 0o755); err != nil {
		t.Fatal(err)
	}
	r := &Runit{Services: filepath.Join(root, "service"), Stage: filepath.Join(root, "stage")}
	for _, dir := range []string{r.Services, r.Stage} {
		if err := os.Mkdir(dir, 0o755); err != nil {
			t.Fatal(err)
		}
	}
	r.Boot(t)
	t.Cleanup(func() { r.end(t) })
	return r
}

// Boot starts runsvdir; it is for a test that has killed it.
func (r *Runit) Boot(t testing.TB) {
	t.Helper()
	// A file and not a pipe: services inherit it, and a pipe would be waited for until the last of them ends.
	r.log = filepath.Join(filepath.Dir(r.Services), "runsvdir.log")
	log, err := os.OpenFile(r.log, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o644)
	if err != nil {
		t.Fatal(err)
	}
	defer log.Close()
	r.cmd = exec.Command("runsvdir", "-P", r.Services)
	r.cmd.Stdout, r.cmd.Stderr = log, log
	r.cmd.Env = append(os.Environ(), r.mark())
	if err := r.cmd.Start(); err != nil {
		t.Fatal(err)
	}
}

// Kill kills runsvdir alone, as a crash would: its runsv processes and the services go on without it.
func (r *Runit) Kill(t testing.TB) {
	t.Helper()
	if r.cmd == nil {
		return
	}
	if err := r.cmd.Process.Kill(); err != nil {
		t.Error(err)
	}
	_ = r.cmd.Wait()
	r.cmd = nil
}

// PowerCut kills runsvdir, every runsv and every service at once, as a power cut would.
func (r *Runit) PowerCut(t testing.TB) {
	t.Helper()
	r.Kill(t)
	Eventually(t, "the services ended", func() bool {
		pids := r.descendants()
		for _, pid := range pids { // again and again: a runsv may start one more before it is killed itself
			_ = syscall.Kill(pid, syscall.SIGKILL)
		}
		return len(pids) == 0
	})
}

func (r *Runit) end(t testing.TB) {
	r.PowerCut(t)
	if said, _ := os.ReadFile(r.log); t.Failed() && len(said) > 0 {
		t.Logf("runsvdir said:\n%s", said)
	}
}

// mark is a variable in the environment of runsvdir and of all that it starts.
func (r *Runit) mark() string { return "PLATYPUS_TEST_RUNIT=" + filepath.Dir(r.Services) }

// descendants lists the processes that belong to this runsvdir, found by a working folder at or below the scratch
// folders (runsv and svlogd stay in theirs) and by their environment, for a folder may have been on a disk that is gone.
func (r *Runit) descendants() []int {
	root := filepath.Dir(r.Services)
	procs, _ := filepath.Glob("/proc/[0-9]*")
	var pids []int
	for _, proc := range procs {
		pid, _ := strconv.Atoi(filepath.Base(proc))
		if pid == os.Getpid() || zombie(proc) {
			continue
		}
		cwd, err := os.Readlink(proc + "/cwd")
		if err == nil && inside(root, cwd) {
			pids = append(pids, pid)
			continue
		}
		env, _ := os.ReadFile(proc + "/environ")
		if bytes.Contains(env, []byte(r.mark()+"\x00")) || bytes.Contains(env, []byte("PLATYPUS_HOME="+root)) || bytes.Contains(env, []byte("PLATYPUS_CONFIG="+root)) {
			pids = append(pids, pid)
		}
	}
	return pids
}

func inside(root, path string) bool {
	return path == root || len(path) > len(root) && path[:len(root)+1] == root+"/"
}

func zombie(proc string) bool {
	stat, err := os.ReadFile(proc + "/stat")
	if err != nil {
		return true
	}
	after := bytes.LastIndexByte(stat, ')')
	return after < 0 || len(stat) < after+3 || stat[after+2] == 'Z'
}
