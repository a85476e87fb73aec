package health

import (
	"context"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/platypus-platform/platypus/agents/internal/testhost"
	"github.com/platypus-platform/platypus/agents/setlive/service"
	"github.com/platypus-platform/platypus/intent"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// sleeper is a process that does nothing until it is ended.
func sleeper(t *testing.T) (service.Process, func()) {
	t.Helper()
	cmd := exec.Command("sleep", "1000")
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	end := func() { _ = cmd.Process.Kill(); _ = cmd.Wait() }
	t.Cleanup(end)
	started, alive, err := service.StartOf(cmd.Process.Pid)
	if err != nil || !alive {
		t.Fatal("the process has no start")
	}
	return service.Process{PID: cmd.Process.Pid, Started: started, Version: "v1", Settings: "s"}, end
}

const tick = intent.Duration(10 * time.Millisecond)

func quick(check intent.Health) intent.Health {
	check.Interval, check.MinHealthy = tick, 5*tick
	if check.Successes == 0 {
		check.Successes = 3
	}
	return check
}

func portOf(t *testing.T, address string) int {
	t.Helper()
	_, port, err := net.SplitHostPort(strings.TrimPrefix(address, "http://"))
	if err != nil {
		t.Fatal(err)
	}
	n, _ := strconv.Atoi(port)
	return n
}

func TestProbeHTTP(t *testing.T) {
	t.Parallel()
	status := atomic.Int32{}
	web := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/slow" {
			<-r.Context().Done()
		}
		w.Header().Set("Location", "http://192.0.2.1/")
		w.WriteHeader(int(status.Load()))
		_, _ = w.Write([]byte("because\n" + strings.Repeat("x", 1000)))
	}))
	defer web.Close()
	p, _ := sleeper(t)
	target := Target{Process: p, Check: intent.Health{Type: "http", Port: portOf(t, web.URL), Path: "/healthz", Timeout: intent.Duration(testhost.HangLimit)}}
	for code, pass := range map[int32]bool{200: true, 204: true, 302: true, 404: false, 500: false} {
		status.Store(code)
		err := Probe(t.Context(), target)
		if (err == nil) != pass {
			t.Errorf("%d: %v", code, err)
		}
		if err != nil && (!strings.Contains(err.Error(), "because xxx") || len(err.Error()) > MaxReason+100) {
			t.Errorf("%d: reason %q", code, err)
		}
	}
	target.Check.Path, target.Check.Timeout = "/slow", 20*tick
	if err := Probe(t.Context(), target); err == nil || !strings.Contains(err.Error(), "no answer within 200ms") {
		t.Errorf("slow: %v", err)
	}
}

func TestProbeTCP(t *testing.T) {
	t.Parallel()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	p, end := sleeper(t)
	target := Target{Process: p, Check: intent.Health{Type: "tcp", Port: portOf(t, l.Addr().String()), Timeout: intent.Duration(testhost.HangLimit)}}
	if err := Probe(t.Context(), target); err != nil {
		t.Error(err)
	}
	end()
	if err := Probe(t.Context(), target); err != errGone {
		t.Errorf("a stranger's answer counted: %v", err)
	}
	_ = l.Close()
	target.Process, _ = sleeper(t)
	target.Check.Port = testhost.FreePort(t) // the one that was closed may be somebody else's by now
	if err := Probe(t.Context(), target); err == nil {
		t.Error("a closed port passed")
	}
}

func TestProbeExec(t *testing.T) {
	t.Parallel()
	testhost.NeedRoot(t)
	install := testhost.Scratch(t)
	write := func(name, script string) {
		if err := os.WriteFile(filepath.Join(install, name), []byte("#!/bin/sh\n"+script), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	write("ok", `[ "$(id -un) $PLATYPUS_VERSION $1 $PWD" = "daemon v1 x `+install+`" ]`)
	write("bad", "echo 'no\\ttable'; exit 2")
	write("chatty", "yes | head -c 100000; exit 1")
	asleep := fmt.Sprintf("sleep 1000.%d", os.Getpid()) // others on this machine sleep as this user, too
	write("hangs", "echo $$ >&2; "+asleep+" & "+asleep)
	p, _ := sleeper(t)
	timeout := intent.Duration(testhost.HangLimit)
	probe := func(command ...string) error {
		check := intent.Health{Type: "exec", Command: command, Timeout: timeout}
		return Probe(t.Context(), Target{App: "slug", Install: install, RunAs: "daemon", Process: p, Check: check})
	}
	if err := probe("ok", "x"); err != nil {
		t.Error(err)
	}
	if err := probe("bad"); err == nil || err.Error() != "bad: exit status 2: no table" {
		t.Errorf("bad: %v", err)
	}
	if err := probe("chatty"); err == nil || len(err.Error()) > 2*MaxReason {
		t.Errorf("chatty: %v", err)
	}
	if err := probe("absent"); err == nil {
		t.Error("an absent check passed")
	}
	timeout = 50 * tick
	if err := probe("hangs"); err == nil || !strings.Contains(err.Error(), "no answer within 500ms") {
		t.Errorf("hangs: %v", err)
	}
	testhost.Eventually(t, "what the check started has ended", func() bool {
		return exec.Command("pgrep", "-f", "-x", asleep).Run() != nil
	})
}

func follow(w *Watch, t Target) { w.Follow(map[string]Target{"slug": t}) }

func TestHealthyTakesPassesInARowOfTheSameProcess(t *testing.T) {
	t.Parallel()
	w := NewWatch()
	defer w.Close()
	p, end := sleeper(t)
	target := Target{App: "slug", Process: p, Check: quick(intent.Health{Type: "up"})}
	if v := w.Verdicts()["slug"]; v.Healthy {
		t.Error("nothing is known, yet it is healthy")
	}
	follow(w, target)
	testhost.Eventually(t, "it is healthy", func() bool { return w.Verdicts()["slug"].Healthy })
	if v := w.Verdicts()["slug"]; v.Passes < 3 || !v.Process.Is(p) {
		t.Errorf("too early: %+v", v)
	}
	end()
	testhost.Eventually(t, "its end is noticed", func() bool { v := w.Verdicts()["slug"]; return !v.Healthy && v.Reason != "" })
	target.Process, _ = sleeper(t)
	began := time.Now()
	follow(w, target)
	if v := w.Verdicts()["slug"]; v.Healthy && time.Since(began) < time.Duration(target.Check.MinHealthy) {
		t.Errorf("another process inherited health: %+v", v)
	}
	testhost.Eventually(t, "the next one is healthy too", func() bool { return w.Verdicts()["slug"].Healthy })
}

func TestADeadlineOutlivesRestarts(t *testing.T) {
	t.Parallel()
	w := NewWatch()
	defer w.Close()
	check := quick(intent.Health{Type: "up", Successes: 1000, Deadline: 30 * tick})
	for i := 0; ; i++ {
		p, end := sleeper(t)
		follow(w, Target{App: "slug", Process: p, Check: check})
		time.Sleep(time.Duration(5 * tick))
		end()
		if v := w.Verdicts()["slug"]; v.Healthy {
			t.Fatalf("a flapping service is healthy: %+v", v)
		} else if v.Expired {
			break
		}
		if i > 1000 {
			t.Fatal("the deadline never comes")
		}
	}
	p, _ := sleeper(t)
	p.Version = "v2"
	began := time.Now()
	follow(w, Target{App: "slug", Process: p, Check: check})
	if v := w.Verdicts()["slug"]; v.Expired && time.Since(began) < time.Duration(check.Deadline) {
		t.Errorf("another version inherited the deadline: %+v", v)
	}
}

func TestWakeTellsOfChanges(t *testing.T) {
	t.Parallel()
	w := NewWatch()
	defer w.Close()
	p, end := sleeper(t)
	follow(w, Target{App: "slug", Process: p, Check: quick(intent.Health{Type: "up"})})
	wait := func(what string, so func(Verdict) bool) {
		for !so(w.Verdicts()["slug"]) { // one wake-up may tell of more than one change
			select {
			case <-w.Wake():
			case <-time.After(testhost.HangLimit):
				t.Fatalf("no wake-up when %s", what)
			}
		}
	}
	wait("it passes", func(v Verdict) bool { return v.Passing })
	wait("it is healthy", func(v Verdict) bool { return v.Healthy })
	select {
	case <-w.Wake(): // its verdict may be seen before it is told of
	default:
	}
	ctx, cancel := context.WithTimeout(t.Context(), time.Duration(20*tick))
	defer cancel()
	select {
	case <-w.Wake():
		t.Error("woken though nothing changed")
	case <-ctx.Done():
	}
	end()
	wait("it ended", func(v Verdict) bool { return !v.Healthy })
}
