package deploy_test

import (
	"bytes"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"
)

// hang is the time after which a test counts as stuck.
const hang = 2 * time.Minute

// host is an isolated machine with its own files, processes and network: see testdata/boot.sh.
type host struct {
	t   *testing.T
	pid int
}

// boot starts a host with the given init, systemd or runit, and stops it at the end of the test.
func boot(t *testing.T, init string) host {
	t.Helper()
	if os.Geteuid() != 0 {
		t.Skip("needs root, for namespaces")
	}
	for _, name := range []string{"unshare", "nsenter", "pivot_root", "ip", "curl", "adduser", "deb-systemd-helper"} {
		requireTool(t, name)
	}
	requireTool(t, map[string]string{"systemd": "systemctl", "runit": "runsvdir"}[init])
	if init == "systemd" {
		requireTool(t, "dbus-daemon")
	}
	scratch, err := os.MkdirTemp("", "platypus-boot-")
	if err != nil {
		t.Fatal(err)
	}
	var log bytes.Buffer
	cmd := exec.Command("testdata/boot.sh", init, filepath.Base(scratch), scratch)
	cmd.Stdout, cmd.Stderr = &log, &log
	cmd.SysProcAttr = &syscall.SysProcAttr{
		Cloneflags: syscall.CLONE_NEWNS | syscall.CLONE_NEWPID | syscall.CLONE_NEWUTS | syscall.CLONE_NEWIPC | syscall.CLONE_NEWNET,
		Pdeathsig:  syscall.SIGKILL,
	}
	if err := cmd.Start(); err != nil {
		os.Remove(scratch)
		t.Skip("needs namespaces: ", err)
	}
	ended := make(chan struct{})
	go func() { cmd.Wait(); close(ended) }()
	h := host{t, cmd.Process.Pid}
	t.Cleanup(func() {
		if t.Failed() {
			last, _ := h.tryRun("journalctl -o short -n 60 -u 'platypus-*' || tail -n 20 /var/log/platypus/*/current")
			t.Logf("the host said:\n%s\n%s", last, log.Bytes())
		}
		cmd.Process.Kill() // and with the first process of the namespace all others
		<-ended
		removeCgroups(t, filepath.Base(scratch))
		if err := os.Remove(scratch); err != nil {
			t.Error(err)
		}
	})
	up := map[string]string{"systemd": "systemctl is-system-running | grep -E 'running|degraded'",
		// Until the host has its own /proc, that of the machine is visible, which may also have a runsvdir.
		"runit": "[ $(cat /proc/1/comm) = runsvdir ] && [ ! -e /old/proc ]"}[init]
	for end := time.Now().Add(hang); ; time.Sleep(100 * time.Millisecond) {
		select {
		case <-ended:
			t.Skipf("this machine does not let a test boot %s:\n%s", init, log.Bytes())
		default:
		}
		if _, err := h.tryRun(up); err == nil {
			return h
		}
		if time.Now().After(end) {
			t.Fatalf("%s does not come up", init)
		}
	}
}

// removeCgroups removes the empty cgroups that a booted systemd leaves behind.
func removeCgroups(t *testing.T, name string) {
	script := `mount -t cgroup2 cgroup2 /mnt; [ ! -d "/mnt/$1" ] || find "/mnt/$1" -depth -type d -exec rmdir {} +`
	var out []byte
	for end := time.Now().Add(hang); time.Now().Before(end); time.Sleep(100 * time.Millisecond) {
		var err error
		if out, err = exec.Command("unshare", "--mount", "sh", "-c", script, "sweep", name).CombinedOutput(); err == nil {
			return
		}
	}
	t.Errorf("cgroups of %s stay: %s", name, out)
}

// tryRun runs a shell line on the host.
func (h host) tryRun(line string) (string, error) {
	out, err := exec.Command("nsenter", "-t", strconv.Itoa(h.pid), "-m", "-p", "-i", "-u", "-n", "-C", "--", "sh", "-c", line).CombinedOutput()
	return strings.TrimSpace(string(out)), err
}

func (h host) run(line string) string {
	h.t.Helper()
	out, err := h.tryRun(line)
	if err != nil {
		h.t.Fatalf("%s: %v\n%s", line, err, out)
	}
	return out
}

// wait repeats the line until it succeeds.
func (h host) wait(line string) {
	h.t.Helper()
	for end := time.Now().Add(hang); ; time.Sleep(200 * time.Millisecond) {
		out, err := h.tryRun(line)
		if err == nil {
			return
		}
		if time.Now().After(end) {
			h.t.Fatalf("%s: still %v\n%s", line, err, out)
		}
	}
}

// copyFile copies a file to the host.
func (h host) copyFile(from, to string) {
	h.t.Helper()
	data, err := os.ReadFile(from)
	if err == nil {
		err = os.WriteFile("/proc/"+strconv.Itoa(h.pid)+"/root"+to, data, 0o644)
	}
	if err != nil {
		h.t.Fatal(err)
	}
}
