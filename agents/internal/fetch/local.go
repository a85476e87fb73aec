package fetch

import (
	"errors"
	"fmt"
	"io/fs"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"syscall"

	"golang.org/x/sys/unix"
)

// errLink is a symbolic link in a place where its author could make a privileged reader open another user's file.
var errLink = errors.New("a symbolic link, which is not followed below the repository: put the file itself there")

// errForeign is a further name for a file of another user, made by the owner of the directory.
var errForeign = errors.New("a hard link to a file that not everybody may read: put a copy there")

// openLocalFile opens a regular file in place. O_NONBLOCK keeps a pipe from holding us up before it is refused.
func openLocalFile(u *url.URL, req Request) (*File, error) {
	fail := func(r Reason, err error) (*File, error) { return nil, &Error{URL: redact(u), Reason: r, Err: err} }
	f, err := openLocal(u.Path, req.Repo)
	var known *Error
	switch {
	case errors.As(err, &known):
		return nil, err
	case errors.Is(err, errLink):
		return fail(NotRegular, err)
	case errors.Is(err, errForeign):
		return fail(Refused, err)
	case errors.Is(err, os.ErrNotExist), errors.Is(err, syscall.ENOTDIR):
		return fail(NotFound, err)
	case errors.Is(err, os.ErrPermission):
		return fail(Refused, err)
	case err != nil:
		return fail(Unreachable, err)
	}
	info, err := f.Stat()
	switch {
	case err != nil:
		f.Close()
		return fail(Unreachable, err)
	case !info.Mode().IsRegular():
		f.Close()
		return fail(NotRegular, nil)
	case info.Size() > req.MaxBytes:
		f.Close()
		return fail(TooBig, fmt.Errorf("%d bytes, limit %d", info.Size(), req.MaxBytes))
	}
	return &File{File: f, Size: info.Size()}, nil
}

const readOnly = os.O_RDONLY | unix.O_NONBLOCK | unix.O_CLOEXEC

// openLocal opens a file. The way to repo may lead through links, since an operator chose it; below repo no link is
// followed. Whoever may write into one directory of the repository could otherwise publish, through a reader with more
// rights than theirs, what they may not read themselves: outside the repository or in another directory of it.
func openLocal(path, repo string) (*os.File, error) {
	below, ok := strings.CutPrefix(filepath.Clean(path), strings.TrimSuffix(filepath.Clean(repo), "/")+"/")
	if repo == "" {
		return os.OpenFile(path, readOnly, 0)
	}
	if !ok {
		return nil, &fs.PathError{Op: "open", Path: path, Err: fs.ErrNotExist}
	}
	dir, err := os.OpenFile(repo, readOnly|unix.O_DIRECTORY, 0)
	if errors.Is(err, fs.ErrNotExist) || errors.Is(err, syscall.ENOTDIR) {
		return nil, &Error{URL: repo, Reason: NoRepo, Err: errors.New("the repository itself is not there")}
	}
	if err != nil {
		return nil, err
	}
	defer func() { dir.Close() }()
	for {
		part, rest, more := strings.Cut(below, "/")
		flags := readOnly | unix.O_NOFOLLOW
		if more {
			flags |= unix.O_DIRECTORY
		}
		next, err := openAt(dir, part, flags)
		if err != nil {
			return nil, err
		}
		if !more {
			if err := checkNotForeign(dir, next); err != nil {
				next.Close()
				return nil, err
			}
			return next, nil
		}
		dir.Close()
		dir, below = next, rest
	}
}

// openAt opens one name of a directory and says of a link that it is one.
func openAt(dir *os.File, name string, flags int) (*os.File, error) {
	path := filepath.Join(dir.Name(), name)
	for {
		fd, err := unix.Openat(int(dir.Fd()), name, flags, 0)
		var at unix.Stat_t
		switch {
		case err == nil:
			return os.NewFile(uintptr(fd), path), nil
		case err == unix.EINTR:
			continue
		case err != unix.ELOOP && err != unix.ENOTDIR: // ENOTDIR is also what a link in place of a directory gives
		case unix.Fstatat(int(dir.Fd()), name, &at, unix.AT_SYMLINK_NOFOLLOW) == nil && at.Mode&unix.S_IFMT == unix.S_IFLNK:
			return nil, &fs.PathError{Op: "open", Path: path, Err: errLink}
		}
		return nil, &fs.PathError{Op: "open", Path: path, Err: err}
	}
}

// checkNotForeign refuses another name of a file that belongs neither to the directory's owner nor to everybody's eyes.
// A kernel with fs.protected_hardlinks lets nobody make one; that is a setting.
func checkNotForeign(dir, file *os.File) error {
	in, err := dir.Stat()
	if err != nil {
		return err
	}
	info, err := file.Stat()
	if err != nil {
		return err
	}
	d, f := in.Sys().(*syscall.Stat_t), info.Sys().(*syscall.Stat_t)
	if info.Mode().IsRegular() && f.Nlink > 1 && f.Uid != d.Uid && info.Mode()&0o004 == 0 {
		return &fs.PathError{Op: "open", Path: file.Name(), Err: errForeign}
	}
	return nil
}
