package service

import (
	"errors"
	"fmt"
	"syscall"
)

// ErrUnseen says that a look at the host came to nothing: no more files may be opened, a disk does not answer, or it is
// not allowed. What is there, or runs, is then unknown, which is no reason to change anything.
var ErrUnseen = errors.New("could not look")

// There says what the error of a look at a path means: the path is there, it is not, or nobody knows. Only the last is an
// error, [ErrUnseen], and it keeps the path that err names. A process that has ended is not there, and neither is a pipe
// that nobody reads.
func There(err error) (bool, error) {
	var number syscall.Errno
	if err == nil || !errors.As(err, &number) {
		return err == nil, nil
	}
	switch number {
	case syscall.ENOENT, syscall.ENOTDIR, syscall.ESRCH, syscall.ENXIO, syscall.ELOOP, syscall.ENAMETOOLONG, syscall.EINVAL:
		return false, nil
	}
	return false, fmt.Errorf("%w: %w", ErrUnseen, err)
}
