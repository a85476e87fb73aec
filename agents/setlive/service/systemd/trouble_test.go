package systemd

import (
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/platypus-platform/platypus/agents/internal/testhost"
	"github.com/platypus-platform/platypus/agents/setlive/service"
)

func masked(t *testing.T) {
	b := newBench(t, testhost.Calm)
	mask := filepath.Join("/run/systemd/system", unitName(b.spec.App))
	if err := b.Install(t.Context(), b.spec); err != nil {
		t.Fatal(err)
	}
	// A mask for good stands in the place of the unit file; one in /run is weaker than a file in /etc.
	file := b.unitFile(b.spec.App)
	if err := os.Remove(file); err != nil {
		t.Fatal(err)
	}
	for _, at := range []string{file, mask} {
		if err := os.Symlink("/dev/null", at); err != nil {
			t.Fatal(err)
		}
		systemctl(t, "daemon-reload")
		if now := b.state(t); !strings.Contains(now.Problem, "masked") {
			t.Errorf("%s: %+v", at, now)
		}
		if err := b.Start(t.Context(), b.spec.App); err == nil || !strings.Contains(err.Error(), "masked") {
			t.Errorf("%s: start: %v", at, err)
		}
		if err := b.Install(t.Context(), b.spec); err == nil {
			t.Errorf("%s: a masked unit was installed", at)
		}
		if target, _ := os.Readlink(at); target != "/dev/null" {
			t.Errorf("%s was unmasked", at)
		}
		if err := os.Remove(at); err != nil {
			t.Fatal(err)
		}
		systemctl(t, "daemon-reload")
	}
	if now := b.up(t); !now.Process.Running() {
		t.Errorf("after unmasking: %+v", now)
	}
}

func startLimit(t *testing.T) {
	b := newBench(t, testhost.Doomed)
	dir := b.unitFile(b.spec.App) + ".d"
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	if err := os.Mkdir(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	drop := "[Unit]\nStartLimitIntervalSec=1000\nStartLimitBurst=2\n[Service]\nRestartSec=10ms\n"
	if err := os.WriteFile(filepath.Join(dir, "limit.conf"), []byte(drop), 0o644); err != nil {
		t.Fatal(err)
	}
	_ = b.Install(t.Context(), b.spec)
	_ = b.Start(t.Context(), b.spec.App)
	testhost.Eventually(t, "systemd gives up", func() bool {
		return systemctl(t, "show", "-p", "ActiveState", "--value", unitName(b.spec.App)) == "failed"
	})
	if now := b.state(t); now.Up || now.Process.Running() {
		t.Errorf("given up: %+v", now)
	}
	testhost.GoLive(t, b.spec.Basedir, b.spec.App, "v2")
	if now := b.up(t); now.Process.Version != "v2" {
		t.Errorf("the start limit holds up the repaired version: %+v", now)
	}
}

func foreign(t *testing.T) {
	b := newBench(t, testhost.Calm)
	file := b.unitFile(b.spec.App)
	shadow := filepath.Join("/run/systemd/system", unitName(b.spec.App))
	for _, at := range []string{file, shadow} {
		if err := os.WriteFile(at, []byte("[Service]\nExecStart=/bin/sleep 1000\n"), 0o644); err != nil {
			t.Fatal(err)
		}
		systemctl(t, "daemon-reload")
		if err := b.Install(t.Context(), b.spec); err == nil {
			t.Errorf("%s of another hand was replaced or shadowed", at)
		}
		if data, _ := os.ReadFile(at); !strings.HasPrefix(string(data), "[Service]") {
			t.Errorf("%s was touched", at)
		}
		if err := os.Remove(at); err != nil {
			t.Fatal(err)
		}
		systemctl(t, "daemon-reload")
	}
}

func dropIn(t *testing.T) {
	b := newBench(t, testhost.Calm)
	dir := b.unitFile(b.spec.App) + ".d"
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	if err := os.Mkdir(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	write := func(line string) {
		if err := os.WriteFile(filepath.Join(dir, "x.conf"), []byte("[Service]\n"+line+"\n"), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	write("Environment=MINE=0")
	was := b.up(t)
	write("Environment=MINE=1")
	if now := b.state(t); now.Fingerprint != "" {
		t.Error("an unread drop-in was not noticed")
	}
	if now := b.up(t); now.Fingerprint != b.spec.Fingerprint() || !now.Process.Is(was.Process) {
		t.Errorf("after install: %+v", now)
	}
	b.stop(t, service.Stopping{})
	now := b.up(t)
	env, _ := os.ReadFile(filepath.Join("/proc", itoa(now.Process.PID), "environ"))
	if !strings.Contains(string(env), "MINE=1") {
		t.Errorf("the drop-in does not count: %q", env)
	}
}

func busKilled(t *testing.T) {
	b := newBench(t, testhost.Calm)
	b.up(t)
	pid := systemctl(t, "show", "-p", "MainPID", "--value", "dbus.service")
	if err := syscall.Kill(atoi(pid), syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	b.stop(t, service.Stopping{})
	testhost.GoLive(t, b.spec.Basedir, b.spec.App, "v2")
	if now := b.up(t); now.Process.Version != "v2" {
		t.Errorf("after the bus was killed: %+v", now)
	}
	systemctl(t, "start", "dbus.service")
}

func removed(t *testing.T) {
	b := newBench(t, testhost.Calm)
	p := b.up(t).Process
	if err := b.Remove(t.Context(), b.spec.App); err != nil {
		t.Fatal(err)
	}
	if _, alive, _ := service.StartOf(p.PID); alive {
		t.Error("it still runs")
	}
	if state := systemctl(t, "show", "-p", "LoadState", "--value", unitName(b.spec.App)); state != "not-found" {
		t.Errorf("the unit is %s", state)
	}
	if _, err := os.Lstat(b.bootLink(b.spec.App)); err == nil {
		t.Error("it is still wanted at boot")
	}
	if now := b.up(t); !now.Process.Running() {
		t.Errorf("after it came back: %+v", now)
	}
}

// halfWritten is what a crash leaves: each piece alone is drift that Install mends.
func halfWritten(t *testing.T) {
	b := newBench(t, testhost.Calm)
	if _, err := b.home(b.spec.App).Write(b.spec); err != nil {
		t.Fatal(err)
	}
	if now := b.state(t); now.Fingerprint != "" {
		t.Errorf("without a unit file: %+v", now)
	}
	if err := os.WriteFile(b.unitFile(b.spec.App), []byte(unitOf(string(b.home(b.spec.App)), b.spec)), 0o644); err != nil {
		t.Fatal(err)
	}
	if now := b.up(t); now.Process.Version != "v1" || now.Fingerprint != b.spec.Fingerprint() {
		t.Errorf("mended: %+v", now)
	}
}
