package testhost

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

func TestRunitRunsAServiceAndEndsIt(t *testing.T) {
	var host *Runit
	t.Run("run", func(t *testing.T) {
		host = NewRunit(t)
		dir := filepath.Join(host.Services, "x")
		if err := os.Mkdir(dir, 0o755); err != nil {
			t.Fatal(err)
		}
		run := "#!/bin/sh\ntrap '' TERM\nwhile :; do sleep 1; done\n"
		if err := os.WriteFile(filepath.Join(dir, "run"), []byte(run), 0o755); err != nil {
			t.Fatal(err)
		}
		Eventually(t, "the service runs", func() bool {
			stat, _ := os.ReadFile(filepath.Join(dir, "supervise", "stat"))
			return strings.HasPrefix(string(stat), "run")
		})
	})
	if left := host.descendants(); len(left) != 0 {
		t.Errorf("processes left behind: %v", left)
	}
}

func TestSystemdIsPID1(t *testing.T) {
	if !InSystemd(t) {
		return
	}
	comm, err := os.ReadFile("/proc/1/comm")
	if err != nil || strings.TrimSpace(string(comm)) != "systemd" {
		t.Fatalf("PID 1 is %q, %v", comm, err)
	}
	if out, err := exec.Command("systemctl", "--no-pager", "--failed", "--no-legend").CombinedOutput(); err != nil || len(out) > 0 {
		t.Errorf("failed units: %s %v", out, err)
	}
	if out, err := exec.Command("busctl", "--system", "--no-pager", "list").CombinedOutput(); err != nil {
		t.Errorf("the system bus does not answer: %v\n%s", err, out)
	}
}
