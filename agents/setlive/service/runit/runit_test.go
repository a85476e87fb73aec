package runit

import (
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/platypus-platform/platypus/agents/internal/testhost"
	"github.com/platypus-platform/platypus/agents/setlive/service"
)

func TestASwitchRunsTheNewVersionAndOnlyThat(t *testing.T) {
	t.Parallel()
	b := newBench(t, testhost.Calm)
	was := b.up(t)
	if was.Process.Version != "v1" || was.Process.Settings != b.spec.Settings() || !was.Up || !was.Boot || was.Problem != "" {
		t.Fatalf("after start: %+v", was)
	}
	if was.Fingerprint != b.spec.Fingerprint() || was.Basedir != b.spec.Basedir {
		t.Fatalf("installed: %+v", was)
	}
	if err := b.Stop(t.Context(), "slug", service.Stopping{}); err != nil {
		t.Fatal(err)
	}
	if now := b.state(t); now.Process.Running() || now.Up || !now.Boot {
		t.Fatalf("after stop: %+v", now)
	}
	testhost.GoLive(t, b.spec.Basedir, "slug", "v2")
	if now := b.up(t); now.Process.Version != "v2" || now.Process.Is(was.Process) {
		t.Fatalf("after switch: %+v", now)
	}
}

func TestWhatDoesNotDifferIsNotWritten(t *testing.T) {
	t.Parallel()
	b := newBench(t, testhost.Calm)
	was := b.up(t)
	run := filepath.Join(b.host.Stage, "slug", "run")
	before, _ := os.Stat(run)
	if now := b.up(t); !now.Process.Is(was.Process) {
		t.Errorf("a second install and start replaced the process: %+v", now)
	}
	if after, _ := os.Stat(run); !os.SameFile(before, after) {
		t.Error("the script was written again")
	}
	if err := os.WriteFile(run, []byte("#!/bin/sh\n"), 0o755); err != nil {
		t.Fatal(err)
	}
	if now := b.state(t); now.Fingerprint != "" {
		t.Error("a script changed by another hand was not noticed")
	}
	if now := b.up(t); now.Fingerprint != b.spec.Fingerprint() || !now.Process.Is(was.Process) {
		t.Errorf("after repair: %+v", now)
	}
}

func TestTheAppSeesItsVersionAndConfigAsItsOwnUser(t *testing.T) {
	t.Parallel()
	testhost.NeedRoot(t)
	testhost.NeedTools(t, "setpriv", "setsid")
	out := filepath.Join(testhost.Scratch(t), "out")
	if err := os.WriteFile(out, nil, 0o666); err != nil {
		t.Fatal(err)
	}
	_ = os.Chmod(out, 0o666)
	b := newBench(t, "#!/bin/sh\n{ id -un; id -Gn; echo $HOME $PLATYPUS_APP $PLATYPUS_VERSION; cat $PLATYPUS_CONFIG; echo; pwd; } >"+out+"\nexec sleep 1000\n")
	b.spec.RunAs = "daemon"
	p := b.up(t).Process
	want := "daemon\ndaemon\n/usr/sbin slug v1\n{\"a\":1}\n" + b.spec.Basedir + "/installs/slug_v1\n"
	testhost.Eventually(t, "the app wrote "+want, func() bool {
		got, _ := os.ReadFile(out)
		return string(got) == want
	})
	if pgid, err := syscall.Getpgid(p.PID); err != nil || pgid != p.PID {
		t.Errorf("process %d is in group %d, %v", p.PID, pgid, err)
	}
	b.spec.RunAs = "no-such-user"
	if err := b.Install(t.Context(), b.spec); err == nil || !strings.Contains(err.Error(), "no-such-user") {
		t.Errorf("an unknown user: %v", err)
	}
}

func TestAServiceThatIgnoresTERMIsKilledWithItsChildren(t *testing.T) {
	t.Parallel()
	b := newBench(t, testhost.Stubborn)
	p := b.up(t).Process
	child := childOf(t, p.PID)
	if err := b.Stop(t.Context(), "slug", service.Stopping{Grace: 300 * time.Millisecond}); err != nil {
		t.Fatal(err)
	}
	if _, alive, _ := service.StartOf(p.PID); alive {
		t.Error("it still runs")
	}
	testhost.Eventually(t, "its child ended", func() bool {
		_, alive, _ := service.StartOf(child)
		return !alive
	})
}

func TestAStopThatIsCalledOffLeavesTheOldVersionUp(t *testing.T) {
	t.Parallel()
	b := newBench(t, testhost.Stubborn)
	p := b.up(t).Process
	childOf(t, p.PID)
	ctx, cancel := testContext(t, 100*time.Millisecond)
	defer cancel()
	if err := b.Stop(ctx, "slug", service.Stopping{}); err == nil {
		t.Fatal("the stop was not called off")
	}
	testhost.Eventually(t, "it is wanted up again", func() bool { return b.state(t).Up })
	if now := b.state(t); !now.Process.Is(p) {
		t.Errorf("the process changed: %+v", now)
	}
}

func TestAFlappingServiceIsCounted(t *testing.T) {
	t.Parallel()
	b := newBench(t, testhost.Doomed)
	b.up(t)
	note := service.Home(filepath.Join(b.host.Stage, "slug"))
	testhost.Eventually(t, "it was started three times", func() bool {
		data, _ := os.ReadFile(filepath.Join(string(note), "running"))
		fields := strings.Fields(string(data))
		return len(fields) > 4 && fields[4] == "2"
	})
	if err := b.Stop(t.Context(), "slug", service.Stopping{Final: true}); err != nil {
		t.Fatal(err)
	}
	if now := b.state(t); now.Up || now.Boot || now.Process.Running() {
		t.Errorf("after a final stop: %+v", now)
	}
}

func TestALeftOverDownFileDoesNotKeepItDown(t *testing.T) {
	t.Parallel()
	b := newBench(t, testhost.Calm)
	b.up(t)
	if err := b.Stop(t.Context(), "slug", service.Stopping{Final: true}); err != nil {
		t.Fatal(err)
	}
	b.host.PowerCut(t)
	b.host.Boot(t)
	testhost.Eventually(t, "runsv is back", func() bool { return b.state(t).Supervised })
	if now := b.state(t); now.Process.Running() || now.Boot {
		t.Fatalf("a service that was stopped for good came back: %+v", now)
	}
	if now := b.up(t); !now.Boot || !now.Process.Running() {
		t.Errorf("after start: %+v", now)
	}
}

func TestItComesBackByItselfAfterAPowerCut(t *testing.T) {
	t.Parallel()
	b := newBench(t, testhost.Calm)
	was := b.up(t)
	b.host.PowerCut(t)
	if now := b.state(t); now.Supervised || now.Process.Running() || !strings.Contains(now.Problem, "runsvdir") {
		t.Errorf("without a supervisor: %+v", now)
	}
	b.host.Boot(t)
	testhost.Eventually(t, "it runs again", func() bool {
		now := b.state(t)
		return now.Process.Version == "v1" && !now.Process.Is(was.Process)
	})
}

func TestRunsvdirKilledDoesNotMatterToWhatRuns(t *testing.T) {
	t.Parallel()
	b := newBench(t, testhost.Calm)
	b.up(t)
	b.host.Kill(t)
	if err := b.Stop(t.Context(), "slug", service.Stopping{}); err != nil {
		t.Fatal(err)
	}
	testhost.GoLive(t, b.spec.Basedir, "slug", "v2")
	if now := b.up(t); now.Process.Version != "v2" {
		t.Errorf("after switch: %+v", now)
	}
}

func TestAnOrphanEndsBeforeItsSuccessorStarts(t *testing.T) {
	t.Parallel()
	b := newBench(t, testhost.Stubborn)
	p := b.up(t).Process
	child := childOf(t, p.PID)
	runsv, _ := os.ReadFile(filepath.Join("/proc", strconv.Itoa(p.PID), "stat"))
	parent, _ := strconv.Atoi(strings.Fields(string(runsv[strings.LastIndex(string(runsv), ")"):]))[2])
	testhost.GoLive(t, b.spec.Basedir, "slug", "v2")
	if err := syscall.Kill(parent, syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	testhost.Eventually(t, "another runsv starts what is current", func() bool { // which it notes once nothing is in its way
		now := b.state(t).Process
		return now.Version == "v2" && now.Settings != ""
	})
	for _, pid := range []int{p.PID, child} {
		if _, alive, _ := service.StartOf(pid); alive {
			t.Errorf("%d of the old version still runs", pid)
		}
	}
}

func TestGarbageInStatusIsHealed(t *testing.T) {
	t.Parallel()
	b := newBench(t, testhost.Calm)
	b.up(t)
	file := filepath.Join(b.host.Stage, "slug", "supervise", "status")
	for _, garbage := range []string{"", "short", strings.Repeat("\xff", 20), strings.Repeat("x", 21)} {
		testhost.Eventually(t, "what runsv did not write is not believed", func() bool {
			if err := os.WriteFile(file, []byte(garbage), 0o644); err != nil { // it may just be writing itself
				t.Fatal(err)
			}
			return !b.state(t).Process.Running()
		})
		if now := b.up(t); !now.Process.Running() {
			t.Errorf("after %q: %+v", garbage, now)
		}
	}
}

func TestForeignServicesAreNeverTouched(t *testing.T) {
	t.Parallel()
	b := newBench(t, testhost.Calm)
	other := filepath.Join(b.host.Services, "slug")
	if err := os.Mkdir(other, 0o755); err != nil {
		t.Fatal(err)
	}
	if err := b.Install(t.Context(), b.spec); err == nil {
		t.Error("a folder of another hand was replaced")
	}
	if states, _ := b.List(t.Context()); len(states) != 0 {
		t.Errorf("a foreign service is listed: %+v", states)
	}
	if err := b.Remove(t.Context(), "slug"); err == nil {
		t.Error("a foreign service was removed")
	}
	if err := os.Remove(other); err != nil {
		t.Fatal(err)
	}
	if err := os.MkdirAll(filepath.Join(b.host.Stage, "slug"), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := b.Install(t.Context(), b.spec); err == nil {
		t.Error("a stage folder of another hand was taken over")
	}
}

func TestRemoveLeavesNothingButTheLogAndItCanComeBack(t *testing.T) {
	t.Parallel()
	b := newBench(t, testhost.Calm)
	b.up(t)
	if err := b.Remove(t.Context(), "slug"); err != nil {
		t.Fatal(err)
	}
	for _, dir := range []string{b.host.Services, b.host.Stage} {
		left, _ := os.ReadDir(dir)
		for _, entry := range left {
			if !strings.HasPrefix(entry.Name(), ".slug.log-") {
				t.Errorf("left in %s: %s", dir, entry)
			}
		}
	}
	if err := b.Remove(t.Context(), "slug"); err != nil {
		t.Errorf("a second removal: %v", err)
	}
	if now := b.up(t); !now.Process.Running() {
		t.Errorf("after it came back: %+v", now)
	}
}

func TestALinkThatLeadsNowhereIsMended(t *testing.T) {
	t.Parallel()
	b := newBench(t, testhost.Calm)
	if err := os.Symlink(filepath.Join(b.host.Stage, "slug"), filepath.Join(b.host.Services, "slug")); err != nil {
		t.Fatal(err)
	}
	if now := b.up(t); !now.Process.Running() {
		t.Errorf("%+v", now)
	}
}

// TestRunsvTellsWhenItStartedAService: by the clock on the wall, to which a link's time is compared.
func TestRunsvTellsWhenItStartedAService(t *testing.T) {
	t.Parallel()
	b := newBench(t, testhost.Calm)
	before := time.Now()
	b.up(t)
	now, err := supervise(b.home("slug")).status()
	if err != nil || now.since.Before(before) || now.since.After(time.Now()) {
		t.Errorf("%+v, %v; begun at %s", now, err, before)
	}
}

func FuzzParseStatus(f *testing.F) {
	f.Add([]byte("\x40\x00\x00\x00\x5c\x00\x00\x00\x00\x00\x00\x00\x01\x00\x00\x00\x00u\x00\x01"))
	f.Fuzz(func(t *testing.T, data []byte) {
		got, err := parseStatus(data)
		if err == nil && (got.state == stateDown && got.pid != 0 || got.state == stateRun && got.pid == 0) {
			t.Errorf("%q gives %+v", data, got)
		}
	})
}
