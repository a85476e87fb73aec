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

const hang = 30 * time.Second

func TestWriteFileReplacesWhole(t *testing.T) {
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

// TestRunEndsWithAllThatItStarted: a grandchild that holds the pipes must not keep Run, nor outlive it.
func TestRunEndsWithAllThatItStarted(t *testing.T) {
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
