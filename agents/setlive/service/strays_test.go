package service

import (
	"fmt"
	"os/exec"
	"path/filepath"
	"syscall"
	"testing"
	"time"

	"github.com/platypus-platform/platypus/agents/internal/testhost"
)

// strayHome writes a service and returns its folder and what its processes carry in their environment.
func strayHome(t *testing.T, runAs string) (Home, string) {
	t.Helper()
	root := testhost.Scratch(t)
	home := Home(filepath.Join(root, "home"))
	if _, err := home.Write(Spec{App: "slug", Basedir: filepath.Join(root, "slug"), RunAs: runAs}); err != nil {
		t.Fatal(err)
	}
	return home, envConfig + "=" + filepath.Join(string(home), configName)
}

// run runs a script with one variable, as a user.
func run(t *testing.T, uid uint32, variable, script string) int {
	t.Helper()
	cmd := exec.Command("/bin/sh", "-c", script)
	cmd.Dir, cmd.Env = "/", []string{"PATH=/usr/bin:/bin"}
	if variable != "" {
		cmd.Env = append(cmd.Env, variable)
	}
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true, Credential: &syscall.Credential{Uid: uid, Gid: uid}}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL) })
	go func() { _ = cmd.Wait() }()
	return cmd.Process.Pid
}

func straysOf(t *testing.T, home Home) map[int]bool {
	t.Helper()
	c, err := ReadProcessTable()
	if err != nil {
		t.Fatal(err)
	}
	strays, err := c.Strays(home, 0)
	if err != nil {
		t.Fatal(err)
	}
	pids := map[int]bool{}
	for _, s := range strays {
		pids[s.PID] = true
	}
	return pids
}

// TestStraysOfAnotherUserAreNone: the environment of a process is whatever its user says.
func TestStraysOfAnotherUserAreNone(t *testing.T) {
	testhost.NeedRoot(t)
	const root, daemon, bin = 0, 1, 2
	for runAs, ours := range map[string]uint32{"": root, "daemon": daemon} {
		home, variable := strayHome(t, runAs)
		own, other := run(t, ours, variable, "exec sleep 1000"), run(t, bin, variable, "exec sleep 1000")
		testhost.Eventually(t, fmt.Sprintf("%q: its own stray is seen", runAs), func() bool { return straysOf(t, home)[own] })
		if straysOf(t, home)[other] {
			t.Errorf("run_as %q: a process of another user counts", runAs)
		}
		if runAs == "" {
			continue
		}
		if _, err := home.Write(Spec{App: "slug", Basedir: "/srv/slug", RunAs: "bin"}); err != nil {
			t.Fatal(err)
		}
		if strays := straysOf(t, home); !strays[own] || !strays[other] {
			t.Errorf("once it runs as another user: %v", strays)
		}
	}
}

// TestTheWaitForStraysEnds, though new ones come all the time.
func TestTheWaitForStraysEnds(t *testing.T) {
	testhost.NeedRoot(t)
	home, variable := strayHome(t, "")
	run(t, 0, "", fmt.Sprintf("while :; do %[1]s sleep 0.1 & %[1]s sleep 0.2 & sleep 0.01; done", variable))
	testhost.Eventually(t, "there are strays", func() bool { return len(straysOf(t, home)) > 0 })
	strays, err := home.TerminateStrays(func() (int, error) { return 0, nil }, 50*time.Millisecond)
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan error, 1)
	go func() { done <- strays.Wait(t.Context()) }()
	select {
	case err := <-done:
		t.Log(err)
	case <-time.After(time.Minute):
		t.Fatal("it waits on")
	}
}

func TestAServiceRecordsWhatItsRemovalNeeds(t *testing.T) {
	home, _ := strayHome(t, "")
	spec := Spec{App: "slug", Basedir: "/srv/slug", StopTimeout: 4 * time.Second}
	if _, err := home.Write(spec); err != nil {
		t.Fatal(err)
	}
	if s, err := home.State(); err != nil || s.StopTimeout != spec.StopTimeout {
		t.Errorf("%+v, %v", s, err)
	}
}
