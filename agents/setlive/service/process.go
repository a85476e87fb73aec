package service

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// Settled is Process for an observer who has a moment: a process that was started just now is given some milliseconds
// to note itself.
func (h Home) Settled(pid int) Process {
	p := h.Process(pid)
	for range 25 {
		if !p.Running() || p.Settings != "" {
			break
		}
		time.Sleep(2 * PollInterval)
		p = h.Process(pid)
	}
	return p
}

// Process returns what is known of the process that the supervisor calls the service's. It is zero when there is no
// such process.
func (h Home) Process(pid int) Process {
	started, ok := StartOf(pid)
	if !ok {
		return Process{}
	}
	p := Process{PID: pid, Started: started}
	if n, ok := h.note(); ok && n.Is(p) {
		return h.informed(n.Process)
	}
	// The note could not be written, or the script has not come to it. The folder it runs in says something too.
	m, _ := h.marker()
	if cwd, err := os.Readlink(fmt.Sprintf("/proc/%d/cwd", pid)); err == nil && filepath.Dir(cwd) == filepath.Join(m.Basedir, "installs") {
		p.Version, _ = strings.CutPrefix(filepath.Base(cwd), m.App+"_")
	}
	return p
}

// StartOf returns when a process started, in clock ticks since boot: with its id, that names it for good. It is false
// when there is no such process or when it has ended and waits to be collected.
func StartOf(pid int) (uint64, bool) {
	if pid <= 0 {
		return 0, false
	}
	data, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return 0, false
	}
	_, after, ok := strings.Cut(string(data[strings.LastIndexByte(string(data), ')')+1:]), " ")
	fields := strings.Fields(after)
	if !ok || len(fields) < 20 || fields[0] == "Z" {
		return 0, false
	}
	started, err := strconv.ParseUint(fields[19], 10, 64)
	return started, err == nil
}

// KillGroup kills what is left of the group that a service's process led. It is for a process that the supervisor has
// just been seen to run: its id cannot have become another's while a member of its group lives.
func KillGroup(p Process) error {
	if p.PID <= 1 {
		return nil
	}
	if started, alive := StartOf(p.PID); alive && started != p.Started {
		return nil // a stranger took over the id, so the group is gone
	}
	err := syscall.Kill(-p.PID, syscall.SIGKILL)
	if err != nil && !errors.Is(err, syscall.ESRCH) {
		return fmt.Errorf("kill group %d: %w", p.PID, err)
	}
	return nil
}
