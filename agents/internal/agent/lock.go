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

// lockDir makes the state directory and takes its lock, which the kernel releases with the process. The kernel knows
// the holder of a record lock, so the pid in the message is right even while the holder is starting. Other users can
// open neither: they could hold the lock and keep the agent from starting.
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
		// The name is only for messages: the lock holds without it.
		if f.Truncate(0) == nil {
			_, _ = f.WriteString(name + "\n")
		}
		return f, nil
	}
	defer f.Close()
	if err := syscall.FcntlFlock(f.Fd(), syscall.F_GETLK, &whole); err != nil {
		return nil, fmt.Errorf("take lock %s: %w", path, err)
	}
	return nil, lockedError{lockedReason(f, name, whole.Pid, path)}
}

// openLock opens the lock file with mode 0600. A file that others could open, as older versions made it, is replaced
// when a process of another user holds it.
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
	if err := syscall.FcntlFlock(f.Fd(), syscall.F_GETLK, &whole); err != nil || whole.Type == syscall.F_UNLCK || mayHoldLock(int(whole.Pid)) {
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

// mayHoldLock reports whether a process may rightfully hold the lock: it belongs to root or to this process's user, or
// its user is unknown.
func mayHoldLock(pid int) bool {
	at, err := os.Stat(fmt.Sprintf("/proc/%d", pid))
	if err != nil {
		return true
	}
	of, ok := at.Sys().(*syscall.Stat_t)
	return !ok || of.Uid == 0 || int(of.Uid) == os.Geteuid()
}

// makeStateDir makes the directory with mode 0700 and its parents with 0755, since its siblings need not be private.
// The default directory is set to 0700 if it was open to others.
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

// lockID identifies a held lock by boot id, device and inode. It is "" when one of them is unknown.
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

// lockedReason returns who holds the lock, and what to do. Agents must not share a state directory: their files have
// the same names, and each would remove the temporary files of the other.
func lockedReason(f io.Reader, name string, pid int32, path string) error {
	content, _ := io.ReadAll(io.LimitReader(f, 128))
	holder := strings.TrimSpace(string(content))
	dir := filepath.Dir(path)
	if filepath.Base(dir) == holder {
		dir = filepath.Dir(dir)
	}
	who := ""
	if pid > 0 { // 0: the holder is in another pid namespace
		who = fmt.Sprintf(" (pid %d)", pid)
	}
	if _, err := intent.ParseName(holder); err != nil || holder == name {
		return fmt.Errorf("another %s%s holds %s: end that one, or give this one a directory of its own with --state-dir", name, who, path)
	}
	return fmt.Errorf("%s%s holds %s, and agents do not share a state directory: start %s with --state-dir %s",
		holder, who, path, name, filepath.Join(dir, name))
}
