package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"

	"github.com/platypus-platform/platypus/agents/internal/fetch"
	"github.com/platypus-platform/platypus/agents/preparer/unpack"
)

// Reason is why a step failed, as one word for reports; those of package fetch are used, too.
type Reason string

// The reasons besides those of package fetch.
const (
	DigestMismatch Reason = "digest_mismatch" // the content is not what was declared or published
	NoDigest       Reason = "no_digest"       // nothing says what the content must be, and the policy wants that
	Unsigned       Reason = "unsigned"        // no signature of a key that this host trusts
	BadArchive     Reason = "bad_archive"     // package unpack refused it
	NoLaunch       Reason = "no_launch"       // the archive holds no bin/launch that could be started
	NoSpace        Reason = "no_space"        // bytes, inodes or quota are used up
	ReadOnly       Reason = "read_only"       // the file system cannot be written
	NotPermitted   Reason = "not_permitted"   // the agent may not write there
	Unsafe         Reason = "unsafe_basedir"  // others than root could turn what we write elsewhere
	InTheWay       Reason = "in_the_way"      // something that is no install has the name of one
	Failure        Reason = "failed"          // anything else
)

// stepError is a step's error with its reason in front, the same text for the same fault every time.
type stepError struct {
	Reason Reason
	Err    error
	Parked bool // another fetch of the same thing would find the same
}

// reasonParked tells people that nothing more is fetched, and what changes that.
const reasonParked = "it is not fetched again until it, what vouches for it, its intent or the policy changes"

func (t *stepError) Error() string { return fmt.Sprintf("%s: %v", t.Reason, t.Err) }
func (t *stepError) Unwrap() error { return t.Err }

func stepErrorf(r Reason, format string, args ...any) error {
	return &stepError{Reason: r, Err: fmt.Errorf(format, args...)}
}

// classify gives err its reason.
func classify(err error) error {
	var known *stepError
	var refused *unpack.Error
	var fetched *fetch.Error
	switch {
	case err == nil, errors.As(err, &known), errors.Is(err, context.Canceled):
		return err
	case errors.Is(err, syscall.ENOSPC), errors.Is(err, syscall.EDQUOT):
		return &stepError{Reason: NoSpace, Err: errors.New("the disk filled up while writing")}
	case errors.Is(err, syscall.EROFS):
		return &stepError{Reason: ReadOnly, Err: err}
	case errors.Is(err, syscall.EXDEV):
		return &stepError{Reason: InTheWay, Err: fmt.Errorf("installs/, .staging/ and .trash/ must lie on one file system; unmount what is mounted on one of them: %w", err)}
	case errors.As(err, &refused):
		return &stepError{Reason: BadArchive, Err: err}
	case errors.As(err, &fetched) && fetched.Reason != fetch.Disk:
		return &stepError{Reason: Reason(fetched.Reason), Err: err}
	case errors.Is(err, fs.ErrPermission) && os.Geteuid() != 0:
		return &stepError{Reason: NotPermitted, Err: fmt.Errorf("%w: run as root, or choose a basedir of yours", err)}
	case errors.Is(err, fs.ErrPermission):
		return &stepError{Reason: NotPermitted, Err: err}
	default:
		return &stepError{Reason: Failure, Err: err}
	}
}

// withBasedir gives the paths in an error, which are those below a basedir that is open, their beginning.
func withBasedir(basedir string, err error) error {
	var p *fs.PathError
	if errors.As(err, &p) && !filepath.IsAbs(p.Path) {
		return fmt.Errorf("%s: %w", filepath.Join(basedir, p.Path), p.Err)
	}
	return err
}

func reasonOf(err error) Reason {
	var t *stepError
	if errors.As(err, &t) {
		return t.Reason
	}
	return ""
}
