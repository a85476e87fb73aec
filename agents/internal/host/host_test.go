package host_test

import (
	"context"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/platypus-platform/platypus/agents/internal/host"
)

const hang = 2 * time.Minute

func TestWriteFile_ReplacesWholeFile(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "file")
	for _, content := range []string{"first, which is longer", "second"} {
		if err := host.WriteFile(path, []byte(content), 0o640); err != nil {
			t.Fatal(err)
		}
		if data, err := os.ReadFile(path); err != nil || string(data) != content {
			t.Fatalf("%q, %v", data, err)
		}
	}
	if at, err := os.Stat(path); err != nil || at.Mode().Perm() != 0o640 {
		t.Errorf("mode %v, %v", at.Mode(), err)
	}
	if err := host.WriteFile(filepath.Join(dir, "no", "file"), nil, 0o600); err == nil {
		t.Error("written into a directory that is not there")
	}
	if entries, err := os.ReadDir(dir); err != nil || len(entries) != 1 {
		t.Errorf("left behind: %v, %v", entries, err)
	}
}

func TestSwapLink(t *testing.T) {
	dir := t.TempDir()
	link := filepath.Join(dir, "current")
	for _, target := range []string{"/srv/a", "/srv/b", "/srv/b"} { // dangling all the same
		if err := host.SwapLink(link, target); err != nil {
			t.Fatal(err)
		}
		if got, err := os.Readlink(link); err != nil || got != target {
			t.Fatalf("%q, %v", got, err)
		}
	}
	for name, make := range map[string]func(string) error{
		"directory": func(p string) error { return os.Mkdir(p, 0o755) },
		"file":      func(p string) error { return os.WriteFile(p, []byte("x"), 0o644) },
	} {
		path := filepath.Join(dir, name)
		if err := make(path); err != nil {
			t.Fatal(err)
		}
		if err := host.SwapLink(path, "/srv/a"); err == nil || !strings.Contains(err.Error(), "in its place") {
			t.Errorf("a %s is replaced: %v", name, err)
		}
	}
}

func TestRun(t *testing.T) {
	out, err := host.Run(t.Context(), strings.NewReader("in"), "sh", "-c", "cat; echo aside >&2")
	if err != nil || string(out) != "in" {
		t.Fatalf("%q, %v", out, err)
	}
	_, err = host.Run(t.Context(), nil, "sh", "-c", "echo one >&2; echo two >&2; exit 3")
	var exit *exec.ExitError
	if !errors.As(err, &exit) || exit.ExitCode() != 3 || !strings.HasSuffix(err.Error(), "exit status 3: one; two") {
		t.Errorf("error %v", err)
	}
	if _, err = host.Run(t.Context(), nil, "sh", "-c", "yes é | head -c 100000 >&2; exit 1"); err == nil || len(err.Error()) > 3000 {
		t.Errorf("a complaint of %d bytes", len(err.Error()))
	}
	if _, err = host.Run(t.Context(), nil, "no-such-command"); !errors.Is(err, exec.ErrNotFound) {
		t.Errorf("error %v", err)
	}
}

// TestRun_ContextEnds_KillsDescendants: a grandchild that holds the pipes must not keep Run, nor outlive it.
func TestRun_ContextEnds_KillsDescendants(t *testing.T) {
	pids := filepath.Join(t.TempDir(), "pid")
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() {
		_, err := host.Run(ctx, nil, "sh", "-c", "sleep 1000 & echo $! >"+pids+".tmp; mv "+pids+".tmp "+pids+"; wait")
		ended <- err
	}()
	var grandchild string
	for begin := time.Now(); grandchild == ""; time.Sleep(10 * time.Millisecond) {
		data, _ := os.ReadFile(pids)
		if grandchild = strings.TrimSpace(string(data)); time.Since(begin) > hang {
			t.Fatal("it never started")
		}
	}
	cancel()
	select {
	case err := <-ended:
		if err == nil {
			t.Error("no error")
		}
	case <-time.After(hang):
		t.Fatal("it does not end")
	}
	for begin := time.Now(); ; time.Sleep(10 * time.Millisecond) {
		stat, err := os.ReadFile("/proc/" + grandchild + "/stat")
		if errors.Is(err, os.ErrNotExist) || errors.Is(err, syscall.ESRCH) || strings.Contains(string(stat), ") Z ") {
			return
		}
		if time.Since(begin) > hang {
			t.Fatalf("process %s outlives the command", grandchild)
		}
	}
}

// TestRemoveLeftovers_OnlyTemporaryFiles removes what is ours and half done, and nothing else.
func TestRemoveLeftovers_OnlyTemporaryFiles(t *testing.T) {
	dir, state := t.TempDir(), t.TempDir()
	foreign := []string{".current", ".x.json123456", ".profile.platypus", "x.0123456789abcdef.platypus", ".x.0123456789abcdeg.platypus", ".x.0123456789abcdef.platypus.bak"}
	for _, name := range foreign {
		if err := os.WriteFile(filepath.Join(dir, name), nil, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.Mkdir(filepath.Join(dir, ".d.0123456789abcdef.platypus"), 0o755); err != nil {
		t.Fatal(err)
	}
	half := func() {
		t.Helper()
		file, link := filepath.Join(dir, ".x.json.0123456789abcdef.platypus"), filepath.Join(dir, ".current.fedcba9876543210.platypus")
		if err := errors.Join(os.WriteFile(file, []byte("half"), 0o600), os.Symlink("/nowhere", link)); err != nil {
			t.Fatal(err)
		}
	}
	left := func() int {
		t.Helper()
		entries, err := os.ReadDir(dir)
		if err != nil {
			t.Fatal(err)
		}
		return len(entries)
	}
	half()
	if err := host.RemoveLeftovers(dir); err != nil || left() != len(foreign)+1 {
		t.Errorf("%d entries left, %v", left(), err)
	}
	if err := host.RemoveLeftovers(filepath.Join(dir, "absent")); err != nil {
		t.Error(err)
	}
	// A process that starts finds what one before it wrote to, wherever that was.
	list := filepath.Join(state, "written.list")
	if err := host.RemoveAllLeftovers(list); err != nil {
		t.Fatal(err)
	}
	for range 2 {
		if err := host.WriteFile(filepath.Join(dir, "x.json"), []byte("whole"), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	half()
	if err := os.WriteFile(filepath.Join(state, ".lock.0123456789abcdef.platypus"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := host.RemoveAllLeftovers(list); err != nil || left() != len(foreign)+2 {
		t.Errorf("%d entries left, %v", left(), err)
	}
	if entries, err := os.ReadDir(state); err != nil || len(entries) != 1 {
		t.Errorf("state directory: %v, %v", entries, err)
	}
	data, err := os.ReadFile(list)
	if err != nil || strings.Count(string(data), dir+"\n") != 1 {
		t.Errorf("the list is %q, %v", data, err)
	}
	// What is damaged is not followed.
	if err := os.WriteFile(list, []byte("../..\n\x00\n"+dir+"/../\n/nowhere\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	half()
	if err := host.RemoveAllLeftovers(list); err != nil || left() != len(foreign)+4 {
		t.Errorf("%d entries left, %v", left(), err)
	}
}

// TestRemoveLeftovers_ConcurrentWrites_Kept: a goroutine that sweeps and others that write do not get into each other's
// way.
func TestRemoveLeftovers_ConcurrentWrites_Kept(t *testing.T) {
	dir := t.TempDir()
	done := make(chan struct{})
	go func() {
		defer close(done)
		for range 200 {
			if err := host.RemoveLeftovers(dir); err != nil {
				t.Error(err)
			}
		}
	}()
	for i := 0; ; i++ {
		if err := errors.Join(host.WriteFile(filepath.Join(dir, "x"), []byte("whole"), 0o600), host.SwapLink(filepath.Join(dir, "l"), "/x")); err != nil {
			t.Fatal(err)
		}
		select {
		case <-done:
			return
		default:
		}
	}
}

// TestErrors_Repeated_HaveTheSameText: with a random name in it, the log would tell it again and again.
func TestErrors_Repeated_HaveTheSameText(t *testing.T) {
	path := filepath.Join(t.TempDir(), "no", "file")
	first, second := host.WriteFile(path, nil, 0o600), host.WriteFile(path, nil, 0o600)
	if first == nil || second == nil || first.Error() != second.Error() || !errors.Is(first, os.ErrNotExist) {
		t.Errorf("%v, then %v", first, second)
	}
}
