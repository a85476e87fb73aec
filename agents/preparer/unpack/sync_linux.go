package unpack

import (
	"errors"
	"os"
	"time"

	"golang.org/x/sys/unix"
)

// Sync brings everything written below dir to the disk. On Linux that is one syncfs of its file system, which costs
// a fraction of an fsync for each file, and reports write-back errors since Linux 5.8; where the file system does not
// know it, every file and directory is synced on its own.
func Sync(dir string) error {
	f, err := os.Open(dir)
	if err != nil {
		return err
	}
	defer f.Close()
	err = unix.Syncfs(int(f.Fd()))
	if errors.Is(err, unix.ENOSYS) || errors.Is(err, unix.EINVAL) || errors.Is(err, unix.EOPNOTSUPP) || errors.Is(err, unix.EPERM) {
		return syncEach(dir)
	}
	return os.NewSyscallError("syncfs", err)
}

// setTime sets the modification time through the open file; kernels before 5.8 want its name.
func setTime(f *os.File, dir *os.Root, base string, at time.Time) error {
	ts, err := unix.TimeToTimespec(at)
	if err != nil {
		return nil // a time the kernel cannot hold is not worth a refusal
	}
	err = unix.UtimesNanoAt(int(f.Fd()), "", []unix.Timespec{ts, ts}, unix.AT_EMPTY_PATH)
	if errors.Is(err, unix.EINVAL) || errors.Is(err, unix.ENOENT) {
		return dir.Chtimes(base, at, at)
	}
	return os.NewSyscallError("utimensat", err)
}
