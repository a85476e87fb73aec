package testhost

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"
)

// insideMark names the environment variable that tells a test that it runs inside a booted systemd; its value is the
// scratch folder shared with the outside.
const insideMark = "PLATYPUS_TEST_SYSTEMD"

// Systemd is a systemd that runs as PID 1 of its own namespaces (mount, process, cgroup, IPC, host name; not
// network). It sees the files of the machine; /run, /tmp and
// /etc/systemd/system are empty ones of its own, and what is written to /var/lib ends with it.
type Systemd struct {
	// PID is systemd's process id as the outside sees it.
	PID int
	// Shared is a scratch folder that has the same path inside and outside.
	Shared string

	cmd    *exec.Cmd
	cgroup string
	log    bytes.Buffer
}

// boot prepares the namespaces and becomes systemd. Only what a supervisor needs is wanted: the targets of an
// ordinary boot would set sysctls and trigger devices of the real machine, so their lists are covered by empty ones.
const boot = `
set -e
mount --make-rprivate /
mount -t proc proc /proc
mount -t tmpfs tmpfs /run
mount -t tmpfs tmpfs /tmp
mount -t tmpfs tmpfs /etc/systemd/system
for wants in sysinit local-fs sockets timers multi-user graphical getty; do
	[ -d /lib/systemd/system/$wants.target.wants ] || continue
	mount -t tmpfs tmpfs /lib/systemd/system/$wants.target.wants
done
for wanted in dbus.socket systemd-journald.socket systemd-journald-dev-log.socket; do
	ln -s ../$wanted /lib/systemd/system/sockets.target.wants/$wanted
done
mount --bind /dev/null /etc/fstab || true
mkdir -p /run/lock /run/lib.upper /run/lib.work
mount -t overlay -o lowerdir=/var/lib,upperdir=/run/lib.upper,workdir=/run/lib.work overlay /var/lib
mount -t cgroup2 cgroup2 /sys/fs/cgroup
mkdir /sys/fs/cgroup/$1
echo 0 >/sys/fs/cgroup/$1/cgroup.procs
exec unshare --cgroup sh -c '
	umount /sys/fs/cgroup
	mount -t cgroup2 cgroup2 /sys/fs/cgroup
	hostname platypus-test
	container=other exec /lib/systemd/systemd --system --unit=multi-user.target --log-target=console --log-level=warning --show-status=no
'`

// NewSystemd boots a systemd and waits until it says that it runs. At the end of the test it ends with all its
// services, and its cgroups and scratch folder are removed.
func NewSystemd(t testing.TB) *Systemd {
	t.Helper()
	NeedRoot(t)
	NeedTools(t, "unshare", "nsenter", "systemctl", "dbus-daemon", "mount")
	if _, err := os.Stat("/lib/systemd/systemd"); err != nil {
		t.Skipf("needs systemd: %v", err)
	}
	shared, err := os.MkdirTemp("/var/tmp", "platypus-test-")
	if err != nil {
		t.Fatal(err)
	}
	s := &Systemd{Shared: shared, cgroup: filepath.Base(shared)}
	t.Cleanup(func() { s.end(t) })
	if err := os.Chmod(shared, 0o755); err != nil {
		t.Fatal(err)
	}
	s.cmd = exec.Command("sh", "-c", boot, "boot", s.cgroup)
	s.cmd.Stdout, s.cmd.Stderr = &s.log, &s.log
	s.cmd.SysProcAttr = &syscall.SysProcAttr{
		Cloneflags: syscall.CLONE_NEWNS | syscall.CLONE_NEWPID | syscall.CLONE_NEWUTS | syscall.CLONE_NEWIPC,
		Pdeathsig:  syscall.SIGKILL,
	}
	if err := s.cmd.Start(); err != nil {
		t.Skipf("needs namespaces: %v", err)
	}
	s.PID = s.cmd.Process.Pid
	s.waitRunning(t)
	return s
}

func (s *Systemd) waitRunning(t testing.TB) {
	t.Helper()
	state := ""
	for end := time.Now().Add(2 * HangLimit); time.Now().Before(end); time.Sleep(50 * time.Millisecond) {
		out, _ := s.Command("systemctl", "is-system-running").CombinedOutput()
		switch state = strings.TrimSpace(string(out)); state {
		case "running", "degraded":
			return
		}
		if zombie(fmt.Sprintf("/proc/%d", s.PID)) {
			t.Fatalf("systemd ended while it booted:\n%s", s.log.String())
		}
	}
	t.Fatalf("systemd does not come up: %s\n%s", state, s.log.String())
}

// Command is a command that will run inside.
func (s *Systemd) Command(name string, args ...string) *exec.Cmd {
	enter := []string{"-t", strconv.Itoa(s.PID), "-m", "-p", "-i", "-u", "-C", "--", name}
	return exec.Command("nsenter", append(enter, args...)...)
}

func (s *Systemd) end(t testing.TB) {
	if s.cmd != nil && s.cmd.Process != nil {
		_ = s.cmd.Process.Kill()
		_ = s.cmd.Wait()
	}
	if t.Failed() {
		t.Logf("systemd said:\n%s", s.log.String())
	}
	sweep := exec.Command("unshare", "--mount", "sh", "-c",
		`mount -t cgroup2 cgroup2 /mnt && { [ ! -d "/mnt/$1" ] || find "/mnt/$1" -depth -type d -exec rmdir {} +; }`, "sweep", s.cgroup)
	for range 100 { // a cgroup stays busy until the last of its processes is collected
		if sweep.Run() == nil {
			break
		}
		time.Sleep(50 * time.Millisecond)
		sweep = exec.Command(sweep.Args[0], sweep.Args[1:]...)
	}
	if err := os.RemoveAll(s.Shared); err != nil {
		t.Error(err)
	}
}

// InSystemd says whether the test runs inside a booted systemd. Outside it boots one, runs the very same test
// inside, reports its outcome and says false, whereupon the test returns. So a test begins with
//
//	if !testhost.InSystemd(t) { return }
//
// The environment inside is that of the outside, and env.
func InSystemd(t *testing.T, env ...string) bool {
	t.Helper()
	if os.Getenv(insideMark) != "" {
		return true
	}
	s := NewSystemd(t)
	binary := filepath.Join(s.Shared, "test")
	if err := copyFile(binary, "/proc/self/exe"); err != nil {
		t.Fatal(err)
	}
	// The checkout may lie below a folder that is another one inside, such as /tmp.
	if _, err := os.Stat("testdata"); err == nil {
		if err := os.CopyFS(filepath.Join(s.Shared, "testdata"), os.DirFS("testdata")); err != nil {
			t.Fatal(err)
		}
	}
	ctx, cancel := context.WithTimeout(t.Context(), 5*HangLimit)
	defer cancel()
	pattern := "^" + strings.ReplaceAll(t.Name(), "/", "$/^") + "$"
	args := []string{"-test.run=" + pattern, "-test.count=1"}
	if testing.Verbose() {
		args = append(args, "-test.v")
	}
	inside := s.Command("sh", append([]string{"-c", `cd "$0" && exec "$@"`, s.Shared, binary}, args...)...)
	inside.Env = append(append(os.Environ(), insideMark+"="+s.Shared, "TMPDIR="+s.Shared), env...)
	stop := context.AfterFunc(ctx, func() { _ = inside.Process.Kill() })
	defer stop()
	out, err := inside.CombinedOutput()
	if err != nil {
		t.Errorf("inside systemd: %v", err)
	}
	if err != nil || testing.Verbose() {
		t.Logf("inside systemd:\n%s", out)
	}
	return false
}

// SharedDir is the scratch folder of the systemd that the test runs in, "" outside.
func SharedDir() string { return os.Getenv(insideMark) }

func copyFile(to, from string) error {
	in, err := os.Open(from)
	if err != nil {
		return err
	}
	defer in.Close()
	out, err := os.OpenFile(to, os.O_CREATE|os.O_WRONLY|os.O_TRUNC, 0o755)
	if err != nil {
		return err
	}
	if _, err := io.Copy(out, in); err != nil {
		_ = out.Close()
		return err
	}
	return out.Close()
}
