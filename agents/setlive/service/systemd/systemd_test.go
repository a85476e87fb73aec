package systemd

import (
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/platypus-platform/platypus/agents/internal/testhost"
	"github.com/platypus-platform/platypus/agents/setlive/service"
)

// TestSystemd runs all of its parts inside one booted systemd.
func TestSystemd(t *testing.T) {
	if !testhost.InSystemd(t) {
		return
	}
	for name, part := range map[string]func(*testing.T){
		"switch": aSwitch, "unchanged": unchanged, "user": asUser, "stubborn": stubborn, "called off": calledOff,
		"flapping": flapping, "final": finalStop, "masked": masked, "start limit": startLimit, "foreign": foreign,
		"drop-in": dropIn, "bus killed": busKilled, "removed": removed, "half written": halfWritten,
	} {
		t.Run(name, part)
	}
}

// bench is a systemd with one app on it.
type bench struct {
	*Systemd
	spec service.Spec
}

const unitDir = "/etc/systemd/system" // an empty one of the booted systemd's own

func newBench(t *testing.T, launch string) bench {
	t.Helper()
	s, err := New(unitDir, testhost.Scratch(t))
	if err != nil {
		t.Fatal(err)
	}
	app := "a-" + strings.ReplaceAll(filepath.Base(t.Name()), "_", "-")
	b := bench{s, service.Spec{App: app, Basedir: testhost.Scratch(t), Config: `{"a": 1}`}}
	t.Cleanup(func() {
		if err := s.Remove(context.Background(), app); err != nil {
			t.Errorf("clean up: %v", err)
		}
		s.Close()
	})
	testhost.Prepare(t, b.spec.Basedir, app, "v1", launch)
	testhost.Prepare(t, b.spec.Basedir, app, "v2", testhost.Calm)
	testhost.GoLive(t, b.spec.Basedir, app, "v1")
	return b
}

func (b bench) up(t *testing.T) service.State {
	t.Helper()
	if err := b.Install(t.Context(), b.spec); err != nil {
		t.Fatal(err)
	}
	if err := b.Start(t.Context(), b.spec.App); err != nil {
		t.Fatal(err)
	}
	return b.state(t)
}

func (b bench) state(t *testing.T) service.State {
	t.Helper()
	states, err := b.List(t.Context())
	if err != nil || len(states) != 1 {
		t.Fatalf("list: %+v, %v", states, err)
	}
	return states[0]
}

func (b bench) stop(t *testing.T, how service.Stopping) {
	t.Helper()
	if err := b.Stop(t.Context(), b.spec.App, how); err != nil {
		t.Fatal(err)
	}
}

func systemctl(t *testing.T, args ...string) string {
	t.Helper()
	out, err := exec.Command("systemctl", args...).CombinedOutput()
	if err != nil {
		t.Logf("systemctl %v: %v: %s", args, err, out)
	}
	return strings.TrimSpace(string(out))
}

func aSwitch(t *testing.T) {
	b := newBench(t, testhost.Calm)
	was := b.up(t)
	if was.Process.Version != "v1" || was.Process.Settings != b.spec.Settings() || !was.Up || !was.Boot || was.Problem != "" {
		t.Fatalf("after start: %+v", was)
	}
	if was.Fingerprint != b.spec.Fingerprint() || !was.Supervised {
		t.Fatalf("installed: %+v", was)
	}
	if enabled := systemctl(t, "is-enabled", unitName(b.spec.App)); enabled != "enabled" {
		t.Errorf("at boot: %s", enabled)
	}
	b.stop(t, service.Stopping{})
	if now := b.state(t); now.Process.Running() || now.Up || !now.Boot {
		t.Fatalf("after stop: %+v", now)
	}
	testhost.GoLive(t, b.spec.Basedir, b.spec.App, "v2")
	if now := b.up(t); now.Process.Version != "v2" || now.Process.Is(was.Process) {
		t.Fatalf("after switch: %+v", now)
	}
}

func unchanged(t *testing.T) {
	b := newBench(t, testhost.Calm)
	was := b.up(t)
	before, _ := os.Stat(b.unitFile(b.spec.App))
	loaded := systemctl(t, "show", "-p", "UnitsLoadTimestampMonotonic")
	if now := b.up(t); !now.Process.Is(was.Process) {
		t.Errorf("a second install and start replaced the process: %+v", now)
	}
	after, _ := os.Stat(b.unitFile(b.spec.App))
	if !os.SameFile(before, after) || systemctl(t, "show", "-p", "UnitsLoadTimestampMonotonic") != loaded {
		t.Error("the unit was written or loaded again")
	}
	b.spec.StopTimeout = 7 * time.Second
	if now := b.state(t); now.Fingerprint == b.spec.Fingerprint() {
		t.Error("another stop timeout is no difference")
	}
	if now := b.up(t); !now.Process.Is(was.Process) || now.Fingerprint != b.spec.Fingerprint() {
		t.Errorf("another stop timeout restarted it: %+v", now)
	}
	if got := systemctl(t, "show", "-p", "TimeoutStopUSec", unitName(b.spec.App)); got != "TimeoutStopUSec=7s" {
		t.Error(got)
	}
}

func asUser(t *testing.T) {
	out := filepath.Join(testhost.Scratch(t), "out")
	if err := os.WriteFile(out, nil, 0o666); err != nil {
		t.Fatal(err)
	}
	_ = os.Chmod(out, 0o666)
	b := newBench(t, "#!/bin/sh\n{ id -un; echo $HOME $PLATYPUS_APP $PLATYPUS_VERSION; cat $PLATYPUS_CONFIG; echo; pwd; } >"+out+"\nexec sleep 1000\n")
	b.spec.RunAs = "daemon"
	b.up(t)
	app := b.spec.App
	want := "daemon\n/usr/sbin " + app + " v1\n{\"a\":1}\n" + b.spec.Basedir + "/installs/" + app + "_v1\n"
	testhost.Eventually(t, "the app wrote "+want, func() bool {
		got, _ := os.ReadFile(out)
		return string(got) == want
	})
}

func stubborn(t *testing.T) {
	b := newBench(t, testhost.Stubborn)
	b.spec.StopTimeout = 300 * time.Millisecond
	p := b.up(t).Process
	child := childOf(t, p.PID)
	b.stop(t, service.Stopping{Grace: 300 * time.Millisecond})
	for _, pid := range []int{p.PID, child} {
		if _, alive := service.StartOf(pid); alive {
			t.Errorf("%d still runs", pid)
		}
	}
}

func calledOff(t *testing.T) {
	b := newBench(t, testhost.Stubborn)
	b.spec.StopTimeout = time.Second
	p := b.up(t).Process
	childOf(t, p.PID)
	ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
	defer cancel()
	if err := b.Stop(ctx, b.spec.App, service.Stopping{}); err == nil {
		t.Fatal("the stop was not called off")
	}
	testhost.Eventually(t, "it runs again", func() bool {
		now := b.state(t)
		return now.Up && now.Process.Version == "v1"
	})
}

func flapping(t *testing.T) {
	b := newBench(t, testhost.Doomed)
	b.up(t)
	testhost.Eventually(t, "it was started three times", func() bool {
		data, _ := os.ReadFile(filepath.Join(string(b.home(b.spec.App)), "running"))
		return strings.HasSuffix(strings.TrimSpace(string(data)), " 2")
	})
	testhost.GoLive(t, b.spec.Basedir, b.spec.App, "v2")
	b.stop(t, service.Stopping{})
	if now := b.up(t); now.Process.Version != "v2" || now.Restarts != 0 {
		t.Errorf("after the repair: %+v", now)
	}
}

func finalStop(t *testing.T) {
	b := newBench(t, testhost.Calm)
	b.up(t)
	b.stop(t, service.Stopping{Final: true})
	if now := b.state(t); now.Up || now.Boot || now.Process.Running() {
		t.Errorf("after a final stop: %+v", now)
	}
	b.stop(t, service.Stopping{Final: true})
	if now := b.up(t); !now.Boot || !now.Process.Running() {
		t.Errorf("after start: %+v", now)
	}
}

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
	if _, alive := service.StartOf(p.PID); alive {
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
