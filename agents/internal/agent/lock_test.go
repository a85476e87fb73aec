package agent

import (
	"bufio"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
)

// TestLockDir_Held_NamesHolderAndNextStep: an agent that finds its directory taken names the one that has it, and what
// to do.
func TestLockDir_Held_NamesHolderAndNextStep(t *testing.T) {
	if dir, other := os.Getenv("LOCK_DIR"), os.Getenv("LOCK_NAME"); dir != "" {
		_, err := lockDir(dir, other)
		t.Skip("it is the second one, and says: ", err)
	}
	dir := t.TempDir()
	lock, err := lockDir(dir, "preparer")
	if err != nil {
		t.Fatal(err)
	}
	defer lock.Close()
	second := func(name string) string {
		cmd := exec.Command(os.Args[0], "-test.run=^TestLockDir_Held_NamesHolderAndNextStep$", "-test.v")
		cmd.Env = append(os.Environ(), "LOCK_DIR="+dir, "LOCK_NAME="+name)
		out, err := cmd.CombinedOutput()
		if err != nil {
			t.Fatalf("%v: %s", err, out)
		}
		return string(out)
	}
	path := filepath.Join(dir, "lock")
	for name, want := range map[string][]string{
		"preparer":  {"another preparer (pid ", path, "give this one a directory of its own with --state-dir"},
		"dashboard": {"says:  preparer (pid ", path, "start dashboard with --state-dir " + filepath.Join(dir, "dashboard")},
	} {
		for _, w := range want {
			if said := second(name); !strings.Contains(said, w) {
				t.Errorf("%s: %q is not in %s", name, w, said)
			}
		}
	}
	// One that an older agent has taken says nothing of its name.
	if err := os.Truncate(path, 0); err != nil {
		t.Fatal(err)
	}
	if said := second("dashboard"); !strings.Contains(said, "another dashboard (pid ") {
		t.Error(said)
	}
}

// TestLockDir_LockFile_IsPrivate: neither by a new file nor by one that an older version left open to all.
func TestLockDir_LockFile_IsPrivate(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "platypus", "toy")
	lock, err := lockDir(dir, "toy")
	if err != nil {
		t.Fatal(err)
	}
	for path, want := range map[string]os.FileMode{dir: 0o700, filepath.Join(dir, "lock"): 0o600, filepath.Dir(dir): 0o755} {
		if at, err := os.Stat(path); err != nil || at.Mode().Perm() != want {
			t.Errorf("%s: %v, %v; want %v", path, at.Mode().Perm(), err, want)
		}
	}
	lock.Close()
	if err := os.Chmod(filepath.Join(dir, "lock"), 0o644); err != nil {
		t.Fatal(err)
	}
	if lock, err = lockDir(dir, "toy"); err != nil {
		t.Fatal(err)
	}
	defer lock.Close()
	if at, err := os.Stat(filepath.Join(dir, "lock")); err != nil || at.Mode().Perm() != 0o600 {
		t.Errorf("an old lock keeps its mode: %v, %v", at.Mode(), err)
	}
}

// TestLockDir_HeldByAnotherUser_IsReplaced: nobody holds a lock that an older version made for all to read.
func TestLockDir_HeldByAnotherUser_IsReplaced(t *testing.T) {
	const python = "/usr/bin/python3" // one that every user may run
	if _, err := os.Stat(python); os.Geteuid() != 0 || err != nil {
		t.Skip("skipped: needs root, to be another user, and python3")
	}
	dir, err := os.MkdirTemp("/tmp", "lock")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	path := filepath.Join(dir, "lock")
	if err := errors.Join(os.Chmod(dir, 0o755), os.WriteFile(path, nil, 0o644), os.Chmod(path, 0o644)); err != nil {
		t.Fatal(err)
	}
	nobody := exec.Command(python, "-c", "import fcntl,sys; f=open(sys.argv[1]); fcntl.lockf(f,fcntl.LOCK_SH); print('held',flush=True); sys.stdin.read()", path)
	nobody.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: 65534, Gid: 65534}}
	in, _ := nobody.StdinPipe()
	out, _ := nobody.StdoutPipe()
	if err := nobody.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { in.Close(); _ = nobody.Wait() })
	if said, err := bufio.NewReader(out).ReadString('\n'); said != "held\n" {
		t.Fatalf("%q, %v", said, err)
	}
	lock, err := lockDir(dir, "toy")
	if err != nil {
		t.Fatal(err)
	}
	defer lock.Close()
	if at, err := os.Stat(path); err != nil || at.Mode().Perm() != 0o600 {
		t.Errorf("the new lock: %v, %v", at.Mode(), err)
	}
}
