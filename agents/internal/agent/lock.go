package agent

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"syscall"

	"github.com/platypus-platform/platypus/intent"
)

// lockedError says that another copy runs.
type lockedError struct{ error }

// lockDir makes the state directory and takes its lock, which falls away with the process. The kernel knows who holds a
// record lock, so that the pid in the message is true even while the holder is just starting. Nobody else can open
// either: whoever could, could hold the lock and keep the agent from starting.
func lockDir(dir, name string) (*os.File, error) {
	if err := makeStateDir(dir); err != nil {
		return nil, fmt.Errorf("make state directory: %w: choose another with --state-dir", err)
	}
	path := filepath.Join(dir, "lock")
	f, err := openLock(path)
	if err != nil {
		return nil, err
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

// openLock opens the lock, for nobody but the agent's user. One that others could open, as older versions made it, is
// replaced when somebody else's process holds it.
func openLock(path string) (*os.File, error) {
	open := func() (*os.File, error) { return os.OpenFile(path, os.O_RDWR|os.O_CREATE|syscall.O_NOFOLLOW, 0o600) }
	f, err := open()
	if err != nil {
		return nil, fmt.Errorf("open lock: %w", err)
	}
	at, err := f.Stat()
	if err != nil || at.Mode().Perm()&0o077 == 0 {
		return f, err
	}
	whole := syscall.Flock_t{Type: syscall.F_WRLCK, Whence: io.SeekStart}
	if err := syscall.FcntlFlock(f.Fd(), syscall.F_GETLK, &whole); err != nil || whole.Type == syscall.F_UNLCK || mayHold(int(whole.Pid)) {
		return f, f.Chmod(0o600)
	}
	f.Close()
	if err := os.Remove(path); err != nil {
		return nil, fmt.Errorf("replace lock: %w", err)
	}
	if f, err = open(); err != nil {
		return nil, fmt.Errorf("open lock: %w", err)
	}
	return f, nil
}

// mayHold reports whether a process may be an agent that holds the lock rightly: root's, or of this process's user, or
// one of which that cannot be known.
func mayHold(pid int) bool {
	at, err := os.Stat(fmt.Sprintf("/proc/%d", pid))
	if err != nil {
		return true
	}
	of, ok := at.Sys().(*syscall.Stat_t)
	return !ok || of.Uid == 0 || int(of.Uid) == os.Geteuid()
}

// makeStateDir makes the directory for its owner alone; its parents may be passed through by all, for what stands beside
// it need not be private. The directory that is used unless another is given is closed to others when it was open.
func makeStateDir(dir string) error {
	if err := os.MkdirAll(filepath.Dir(dir), 0o755); err != nil {
		return err
	}
	err := os.Mkdir(dir, 0o700)
	if err == nil || !errors.Is(err, fs.ErrExist) {
		return err
	}
	at, err := os.Stat(dir)
	if err != nil {
		return err
	}
	if !at.IsDir() {
		return fmt.Errorf("%s is not a directory", dir)
	}
	of, ok := at.Sys().(*syscall.Stat_t)
	if ok && int(of.Uid) == os.Geteuid() && at.Mode().Perm()&0o077 != 0 && filepath.Clean(dir) == stateDir(filepath.Base(dir)) {
		return os.Chmod(dir, 0o700)
	}
	return nil
}

// lockID identifies a lock that is held: by the running system and the file on it. It is "" when that cannot be known.
func lockID(f *os.File) string {
	boot, err := os.ReadFile("/proc/sys/kernel/random/boot_id")
	if err != nil {
		return ""
	}
	at, err := f.Stat()
	if err != nil {
		return ""
	}
	of, ok := at.Sys().(*syscall.Stat_t)
	if !ok {
		return ""
	}
	return fmt.Sprintf("%s-%x-%x", strings.TrimSpace(string(boot)), of.Dev, of.Ino)
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
