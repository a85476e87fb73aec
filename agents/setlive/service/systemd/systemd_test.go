package systemd

import (
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
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
		if _, alive, _ := service.StartOf(pid); alive {
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
		fields := strings.Fields(string(data))
		return len(fields) > 4 && fields[4] == "2"
	})
	testhost.GoLive(t, b.spec.Basedir, b.spec.App, "v2")
	b.stop(t, service.Stopping{})
	if now := b.up(t); now.Process.Version != "v2" || now.Past.Restarts != 0 {
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
