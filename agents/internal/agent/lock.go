package agent

import (
	"fmt"
	"io"
	"os"
	"path/filepath"
	"syscall"
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
		return f, nil
	}
	defer f.Close()
	if err := syscall.FcntlFlock(f.Fd(), syscall.F_GETLK, &whole); err != nil {
		return nil, fmt.Errorf("take lock %s: %w", path, err)
	}
	return nil, lockedError{fmt.Errorf("another %s (pid %d) holds %s", name, whole.Pid, path)}
}
