package service

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"

	"github.com/platypus-platform/platypus/agents/internal/host"
)

// bootIDFile holds a word that is another one after each boot.
const bootIDFile = "/proc/sys/kernel/random/boot_id"

// note is what the script notes of the process that it becomes, and of those before it since the last stop.
type note struct {
	Process
	restarts int
	starts   []uint64 // of this process and of the ones before it, at most five, newest first
}

// bootID names the time since the machine booted; it is "-" when the kernel does not tell.
var bootID = sync.OnceValue(func() string {
	id, err := os.ReadFile(bootIDFile)
	if err != nil {
		return "-"
	}
	return strings.TrimSpace(string(id))
})

// note reads the note. One of an older form lacks its last members. One that was written before the machine booted says
// nothing of the processes of now.
func (h Home) note() (n note, ok bool) {
	data, err := os.ReadFile(filepath.Join(string(h), noteName))
	fields := strings.Fields(string(data))
	if err != nil || len(fields) < 5 || !strings.HasSuffix(string(data), "\n") {
		return n, false
	}
	if len(fields) > 6 && fields[6] != bootID() {
		return n, false
	}
	var bad [3]error
	n.PID, bad[0] = strconv.Atoi(fields[0])
	n.Started, bad[1] = strconv.ParseUint(fields[1], 10, 64)
	n.restarts, bad[2] = strconv.Atoi(fields[4])
	if errors.Join(bad[:]...) != nil {
		return note{}, false
	}
	n.Version, n.Settings, n.starts = fields[2], fields[3], []uint64{n.Started}
	if n.Version == "-" {
		n.Version = ""
	}
	if len(fields) > 6 {
		n.Core = fields[5]
		for _, field := range fields[7:] {
			start, err := strconv.ParseUint(field, 10, 64)
			if err != nil {
				break
			}
			n.starts = append(n.starts, start)
		}
	}
	return n, true
}

// informed is p with the settings that it was told of since its start.
func (h Home) informed(p Process) Process {
	var told Process
	data, err := os.ReadFile(filepath.Join(string(h), toldName))
	if n, _ := fmt.Sscanf(string(data), "%d %d %s\n", &told.PID, &told.Started, &told.Settings); err == nil && n == 3 && told.Is(p) {
		p.Settings = told.Settings
	}
	return p
}

// Informed notes that a process was told of settings while it runs.
func (h Home) Informed(p Process, settings string) error {
	return host.WriteFile(filepath.Join(string(h), toldName), fmt.Appendf(nil, "%d %d %s\n", p.PID, p.Started, settings), 0o644)
}

// Forget removes the note of the process that ran, so that a later start is told from it.
func (h Home) Forget() error {
	for _, name := range []string{noteName, toldName} {
		if err := os.Remove(filepath.Join(string(h), name)); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return fmt.Errorf("forget process: %w", err)
		}
	}
	return nil
}

// Lingers returns the process that was noted last when it, or one of its group, is still there: not even KILL ends a
// process that waits for a disk that is gone.
func (h Home) Lingers() (pid int, lingers bool) {
	n, ok := h.note()
	if !ok || n.PID <= 1 {
		return 0, false
	}
	if started, alive := StartOf(n.PID); alive {
		return n.PID, started == n.Started
	}
	return n.PID, syscall.Kill(-n.PID, 0) == nil
}

// Noted reports whether a process has noted itself since Forget, and is the one that the supervisor knows as pid, or
// has ended since.
func (h Home) Noted(pid int) bool {
	n, ok := h.note()
	if !ok {
		return false
	}
	started, alive := StartOf(n.PID)
	return n.PID == pid || !alive || started != n.Started
}
