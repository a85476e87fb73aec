package service

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// settling is how long a process may be without a version that can be told. The shell that is to become the app goes to the
// folder of its version first, but where there is much to do even that takes a while.
const settling = 2 * time.Second

// Settled is Process for an observer who has a moment: a process that was started just now is given some milliseconds
// to note itself, and longer to show of which version it is.
func (h Home) Settled(pid int) (Process, error) {
	p, err := h.Process(pid)
	for try := range int(settling / (2 * PollInterval)) {
		if err != nil || !p.Running() || p.Settings != "" || try >= 25 && (p.Version != "" || !p.young()) {
			break
		}
		time.Sleep(2 * PollInterval)
		p, err = h.Process(pid)
	}
	return p, err
}

// young reports whether a process was started just now.
func (p Process) young() bool {
	now, err := uptime()
	return err == nil && now >= p.Started && time.Duration(now-p.Started)*tick < settling
}

// Process returns what is known of the process that the supervisor calls the service's. It is zero when there is no
// such process. Its error is [ErrUnseen].
func (h Home) Process(pid int) (Process, error) {
	started, alive, err := StartOf(pid)
	if !alive {
		return Process{}, err
	}
	p := Process{PID: pid, Started: started}
	n, ok, err := h.note()
	if err != nil {
		return Process{}, err
	}
	if ok && n.Is(p) {
		return h.informed(n.Process)
	}
	// The note could not be written, or the script has not come to it. The folder it runs in says something too.
	m, err := h.marker()
	if _, err := There(err); err != nil {
		return Process{}, err
	}
	cwd, err := placeOf(pid, "cwd")
	if filepath.Dir(cwd) == filepath.Join(m.Basedir, "installs") {
		p.Version, _ = strings.CutPrefix(filepath.Base(cwd), m.App+"_")
	}
	return p, err
}

// placeOf returns where a link of a process leads to, "" when there is none or it is not for us to see.
func placeOf(pid int, link string) (string, error) {
	at, err := os.Readlink(fmt.Sprintf("/proc/%d/%s", pid, link))
	if errors.Is(err, fs.ErrPermission) {
		return "", nil // the kernel shows it to the process's own user alone, now and for ever
	}
	_, err = There(err)
	return at, err
}

// StartOf returns when a process started, in clock ticks since boot: with its id, that names it for good. It is not alive
// when there is no such process or when it has ended and waits to be collected. Its error is [ErrUnseen].
func StartOf(pid int) (started uint64, alive bool, err error) {
	if pid <= 0 {
		return 0, false, nil
	}
	fields, err := statOf(pid)
	if err != nil || len(fields) < 20 || fields[0] == "Z" {
		return 0, false, err
	}
	started, err = strconv.ParseUint(fields[19], 10, 64)
	return started, err == nil, nil
}

// statOf returns the fields of /proc/PID/stat from the state on, none when there is no such process. What is before them, the
// name, may hold anything, also spaces, parentheses and newlines. Its error is [ErrUnseen].
func statOf(pid int) ([]string, error) {
	data, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if there, err := There(err); !there {
		return nil, err
	}
	return strings.Fields(string(data[bytes.LastIndexByte(data, ')')+1:])), nil
}

// KillGroup kills what is left of the group that a service's process led. It is for a process that the supervisor has
// just been seen to run: its id cannot have become another's while a member of its group lives.
func KillGroup(p Process) error {
	if p.PID <= 1 {
		return nil
	}
	started, alive, err := StartOf(p.PID)
	if err != nil {
		return fmt.Errorf("kill group %d: %w", p.PID, err)
	}
	if alive && started != p.Started {
		return nil // a stranger took over the id, so the group is gone
	}
	err = syscall.Kill(-p.PID, syscall.SIGKILL)
	if err != nil && !errors.Is(err, syscall.ESRCH) {
		return fmt.Errorf("kill group %d: %w", p.PID, err)
	}
	return nil
}
