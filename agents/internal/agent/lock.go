package agent

import (
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"syscall"

	"github.com/platypus-platform/platypus/intent"
)

// lockedError says that another copy runs.
type lockedError struct{ error }

// lockDir makes the state directory and takes its lock, which falls away with the process. The kernel knows who holds a
// record lock, so that the pid in the message is true even while the holder is just starting.
func lockDir(dir, name string) (io.Closer, error) {
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return nil, fmt.Errorf("make state directory: %w: choose another with --state-dir", err)
	}
	path := filepath.Join(dir, "lock")
	f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE, 0o644)
	if err != nil {
		return nil, fmt.Errorf("open lock: %w", err)
	}
	whole := syscall.Flock_t{Type: syscall.F_WRLCK, Whence: io.SeekStart}
	if err := syscall.FcntlFlock(f.Fd(), syscall.F_SETLK, &whole); err == nil {
		// Only a message is made of the name: the lock holds without it.
		if f.Truncate(0) == nil {
			_, _ = f.WriteString(name + "\n")
		}
		return f, nil
	}
	defer f.Close()
	if err := syscall.FcntlFlock(f.Fd(), syscall.F_GETLK, &whole); err != nil {
		return nil, fmt.Errorf("take lock %s: %w", path, err)
	}
	return nil, lockedError{locked(f, name, whole.Pid, path)}
}

// locked says who holds the lock, and what to do. Agents do not share a state directory: what they keep there has the same
// names, and each would take the half-written files of the other for its own.
func locked(f io.Reader, name string, pid int32, path string) error {
	said, _ := io.ReadAll(io.LimitReader(f, 128))
	holder := strings.TrimSpace(string(said))
	dir := filepath.Dir(path)
	if filepath.Base(dir) == holder {
		dir = filepath.Dir(dir)
	}
	who := ""
	if pid > 0 { // it has none here when it lives in another container
		who = fmt.Sprintf(" (pid %d)", pid)
	}
	if _, err := intent.ParseName(holder); err != nil || holder == name {
		return fmt.Errorf("another %s%s holds %s: end that one, or give this one a directory of its own with --state-dir", name, who, path)
	}
	return fmt.Errorf("%s%s holds %s, and agents do not share a state directory: start %s with --state-dir %s",
		holder, who, path, name, filepath.Join(dir, name))
}
