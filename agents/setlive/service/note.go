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

// booted keeps what bootID has read.
var booted struct {
	sync.Mutex
	id string
}

// bootID names the time since the machine booted; it is "-" when the kernel does not tell, as the script has it.
func bootID() (string, error) {
	booted.Lock()
	defer booted.Unlock()
	if booted.id == "" {
		data, err := os.ReadFile(bootIDFile)
		if _, err := There(err); err != nil {
			return "", err
		}
		booted.id = "-"
		if id := strings.TrimSpace(string(data)); id != "" {
			booted.id = id
		}
	}
	return booted.id, nil
}

// note reads the note. One of an older form lacks its last members. One that was written before the machine booted says
// nothing of the processes of now. Its error is [ErrUnseen].
func (h Home) note() (n note, ok bool, err error) {
	data, err := os.ReadFile(filepath.Join(string(h), noteName))
	if there, err := There(err); !there {
		return n, false, err
	}
	if fields := strings.Fields(string(data)); len(fields) > 6 {
		boot, err := bootID()
		if err != nil || fields[6] != boot {
			return n, false, err
		}
	}
	n, ok = parseNote(string(data))
	return n, ok, nil
}

func parseNote(text string) (n note, ok bool) {
	fields := strings.Fields(text)
	if len(fields) < 5 || !strings.HasSuffix(text, "\n") {
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

// informed is p with the settings that it was told of since its start. Its error is [ErrUnseen].
func (h Home) informed(p Process) (Process, error) {
	var told Process
	data, err := os.ReadFile(filepath.Join(string(h), toldName))
	if there, err := There(err); !there {
		return p, err
	}
	if n, _ := fmt.Sscanf(string(data), "%d %d %s\n", &told.PID, &told.Started, &told.Settings); n == 3 && told.Is(p) {
		p.Settings = told.Settings
	}
	return p, nil
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
// process that waits for a disk that is gone. Its error is [ErrUnseen].
func (h Home) Lingers() (pid int, lingers bool, err error) {
	n, ok, err := h.note()
	if err != nil || !ok || n.PID <= 1 {
		return 0, false, err
	}
	started, alive, err := StartOf(n.PID)
	if err != nil || alive {
		return n.PID, started == n.Started, err
	}
	return n.PID, syscall.Kill(-n.PID, 0) == nil, nil
}

// Noted reports whether a process has noted itself since Forget, and is the one that the supervisor knows as pid, or
// has ended since. Its error is [ErrUnseen].
func (h Home) Noted(pid int) (bool, error) {
	n, ok, err := h.note()
	if err != nil || !ok || n.PID == pid {
		return ok && n.PID == pid, err
	}
	started, alive, err := StartOf(n.PID)
	return err == nil && (!alive || started != n.Started), err
}
