package main

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/platypus-platform/platypus/intent"
)

// companion is this test binary as another process, which takes the lock of an agent, listens, and waits for its end.
func companion(t *testing.T, lock string, env ...string) (pid int, port int) {
	t.Helper()
	cmd := exec.Command(os.Args[0], "-test.run=^TestCompanion$")
	cmd.Env = append(append(os.Environ(), "COMPANION_LOCK="+lock), env...)
	in, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { in.Close(); _ = cmd.Wait() })
	line, err := bufio.NewReader(out).ReadString('\n')
	if port, err = strconv.Atoi(strings.TrimSpace(line)); err != nil {
		t.Fatalf("the companion says %q", line)
	}
	return cmd.Process.Pid, port
}

// TestCompanion is no test: it is the companion.
func TestCompanion(t *testing.T) {
	path, ok := os.LookupEnv("COMPANION_LOCK")
	if !ok {
		t.Skip("it is run by other tests")
	}
	if path != "" {
		f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE, 0o644)
		if err != nil {
			t.Fatal(err)
		}
		defer f.Close()
		if err := unix.FcntlFlock(f.Fd(), unix.F_SETLK, &unix.Flock_t{Type: unix.F_WRLCK}); err != nil {
			t.Fatal(err)
		}
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	fmt.Println(l.Addr().(*net.TCPAddr).Port)
	_, _ = io.Copy(io.Discard, os.Stdin)
}

// findingFor returns the findings about something, in words.
func findingFor(found []finding, what string) (all []string) {
	for _, f := range found {
		if f.What == what {
			all = append(all, f.Level+" "+f.Found)
		}
	}
	return all
}

func TestDoctorNamesWhoHoldsALock(t *testing.T) {
	state := t.TempDir()
	for _, agent := range []string{"preparer", "setlive", "recorder"} {
		if err := os.Mkdir(filepath.Join(state, agent), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	pid, _ := companion(t, filepath.Join(state, "preparer/lock"))
	other, _ := companion(t, filepath.Join(state, "recorder/lock"))
	// A pid that somebody wrote into a file holds nothing.
	if err := os.WriteFile(filepath.Join(state, "setlive/lock"), []byte(fmt.Sprint(os.Getpid())), 0o644); err != nil {
		t.Fatal(err)
	}
	want := fmt.Sprintf("[ok held by preparer (pid %d), recorder (pid %d) warn ran here and does not now: setlive]", pid, other)
	if got := fmt.Sprint(findingFor(checkLocks(state), "lock")); got != want {
		t.Errorf("%s, want %s", got, want)
	}
	if got := fmt.Sprint(findingFor(checkLocks(t.TempDir()), "lock")); !strings.Contains(got, "no agent holds a lock") {
		t.Error(got)
	}
}

// TestDoctorSeesAgentsThatRunTwice, such as one with another root, whose state directory is another one.
func TestDoctorSeesAgentsThatRunTwice(t *testing.T) {
	program := filepath.Join(t.TempDir(), "preparer")
	// Nothing but its name is asked of it.
	if err := os.WriteFile(program, []byte("#!/bin/sh\nread -r end\n"), 0o755); err != nil {
		t.Fatal(err)
	}
	var pids []int
	for _, args := range [][]string{{"--root", "one", "--state-dir=/var/lib/one"}, {"-root=two"}, {"--dry-run"}} {
		cmd := exec.Command(program, args...)
		cmd.Env = append(os.Environ(), "PLATYPUS_STATE_DIR=/var/lib/environment")
		in, err := cmd.StdinPipe()
		if err != nil {
			t.Fatal(err)
		}
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { in.Close(); _ = cmd.Wait() })
		pids = append(pids, cmd.Process.Pid)
	}
	var mine []process
	for _, p := range listProcesses() { // others may run on this machine, too
		for _, pid := range pids {
			if p.pid == pid {
				p.name = strings.TrimSpace(p.name)
				mine = append(mine, p)
			}
		}
	}
	got := fmt.Sprint(findingFor(checkDuplicates(mine), "copies"))
	for _, want := range []string{
		"warn 2 of preparer run on this host", fmt.Sprintf(`pid %d (root "one", state in /var/lib/one)`, pids[0]),
		fmt.Sprintf(`pid %d (root "two", state in /var/lib/environment)`, pids[1]),
	} {
		if !strings.Contains(got, want) {
			t.Errorf("%s lacks %s", got, want)
		}
	}
	mine[0].namespaces = "another container"
	if got := fmt.Sprint(findingFor(checkDuplicates(mine), "copies")); got != "[ok no agent runs twice]" {
		t.Error(got)
	}
}

func TestDoctorSeesWhoHasThePortsOfApps(t *testing.T) {
	_, own := companion(t, "", "PLATYPUS_APP=slug")
	name := filepath.Base(os.Args[0])
	name = name[:min(len(name), 15)] // which is all that the kernel keeps
	neighbour, taken := companion(t, "", "PLATYPUS_APP=snail")
	stranger, foreign := companion(t, "")
	app := func(port int) []intent.App {
		a := intent.App{Name: "slug"}
		a.Deploy.Ports = []intent.Port{{First: port, Last: port, Protocol: intent.TCP}}
		return []intent.App{a}
	}
	for _, c := range []struct {
		port int
		want string
	}{
		{own, "ok nobody else listens on the ports"},
		{taken, fmt.Sprintf("warn port %d/tcp of slug is held by the app snail (%s, pid %d)", taken, name, neighbour)},
		{foreign, fmt.Sprintf("warn port %d/tcp of slug is held by %s (pid %d), which is no app", foreign, name, stranger)},
	} {
		if got := fmt.Sprint(findingFor(checkPorts(app(c.port)), "ports")); !strings.Contains(got, c.want) {
			t.Errorf("%s, want %s", got, c.want)
		}
	}
	udp := app(foreign)
	udp[0].Deploy.Ports[0].Protocol = intent.UDP
	if got := fmt.Sprint(findingFor(checkPorts(udp), "ports")); !strings.Contains(got, "ok nobody else") {
		t.Error(got)
	}
}

// TestDoctorLooksAtEveryFileSystem that an app lives on.
func TestDoctorLooksAtEveryFileSystem(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("needs root to mount small file systems")
	}
	state := t.TempDir()
	var apps []intent.App
	for name, options := range map[string]string{"full": "size=1m", "inodes": "size=2g,nr_inodes=100", "small": "size=100m", "readonly": "ro", "few": "size=2g,nr_inodes=2000"} {
		dir := filepath.Join(state, name)
		if err := os.Mkdir(dir, 0o755); err != nil {
			t.Fatal(err)
		}
		flags := uintptr(0)
		if options == "ro" {
			flags, options = syscall.MS_RDONLY, "size=2g"
		}
		if err := syscall.Mount("platypus-test", dir, "tmpfs", flags, options); err != nil {
			t.Skipf("needs small file systems: %v", err)
		}
		t.Cleanup(func() {
			if err := syscall.Unmount(dir, syscall.MNT_DETACH); err != nil {
				t.Error(err)
			}
		})
		app := intent.App{Name: intent.Name(name)}
		app.Deploy.Basedir = filepath.Join(dir, "srv/not/there/yet")
		apps = append(apps, app)
	}
	got := strings.Join(findingFor(checkSpace(state, apps), "disk"), "\n")
	for name, want := range map[string]string{
		"full": "fail 0.0 GB and ", "inodes": "fail 2.1 GB and 99 inodes", "small": "warn 0.1 GB", "readonly": "fail read-only: ", "few": "warn 2.1 GB and 1999 inodes",
	} {
		if !strings.Contains(got, want) || !strings.Contains(got, filepath.Join(state, name, "srv/not/there/yet")) {
			t.Errorf("%s: %q is not in\n%s", name, want, got)
		}
	}
	if n := len(findingFor(checkSpace(state, append(apps, apps...)), "disk")); n != 6 {
		t.Errorf("%d file systems", n)
	}
}
