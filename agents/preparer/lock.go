package main

import (
	"errors"
	"io/fs"
	"os"
	"syscall"
)

// withStagingLock runs do while no other copy of this agent, nor another goroutine of this one, makes a staging
// directory or judges one. It is held for a few system calls at a time: without it, a directory could be taken for a
// leftover between its making and its locking.
func withStagingLock(root *os.Root, do func() error) error {
	f, err := root.Open(staging)
	if err != nil {
		return err
	}
	defer f.Close()
	for {
		err := syscall.Flock(int(f.Fd()), syscall.LOCK_EX)
		if err == nil {
			return do()
		}
		if !errors.Is(err, syscall.EINTR) {
			return os.NewSyscallError("flock", err)
		}
	}
}

// errBusy says that somebody else holds the lock.
var errBusy = errors.New("in use by another copy")

// lockEntry locks a file or directory below root until the returned file is closed, or the process ends.
func lockEntry(root *os.Root, name string) (*os.File, error) {
	f, err := root.OpenFile(name, os.O_RDONLY|syscall.O_NONBLOCK, 0)
	if err != nil {
		return nil, err
	}
	if syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB) != nil {
		f.Close()
		return nil, errBusy
	}
	return f, nil
}

// lockLeftover locks something left over, which may be a link or gone: then there is nothing to lock.
func lockLeftover(root *os.Root, name string) (f *os.File, err error) {
	err = withStagingLock(root, func() (err error) {
		info, err := root.Lstat(name)
		if errors.Is(err, fs.ErrNotExist) || err == nil && !info.IsDir() && !info.Mode().IsRegular() {
			return nil
		}
		if err == nil {
			f, err = lockEntry(root, name)
		}
		return err
	})
	return f, err
}

// busy reports whether somebody works in a staging directory.
func busy(root *os.Root, name string) bool {
	f, err := lockLeftover(root, name)
	if f != nil {
		f.Close()
	}
	return errors.Is(err, errBusy)
}
