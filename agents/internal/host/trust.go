package host

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"syscall"
)

// ErrUnsafe says that a user who is not trusted could replace or change what is at a path.
var ErrUnsafe = errors.New("unsafe path")

// unsafeError is an [ErrUnsafe] in words.
type unsafeError string

func unsafef(format string, args ...any) error { return unsafeError(fmt.Sprintf(format, args...)) }

func (u unsafeError) Error() string        { return string(u) }
func (u unsafeError) Is(target error) bool { return target == ErrUnsafe }

// Trust checks whether only trusted users can change what is at a path. It remembers its answers, so use one for one
// look at the host. It is not safe for concurrent use.
type Trust struct {
	users   []uint32
	results map[string]error
}

// NewTrust returns a Trust in root and the given users.
func NewTrust(users ...uint32) *Trust {
	all := append([]uint32{0}, users...)
	slices.Sort(all)
	return &Trust{users: slices.Compact(all), results: map[string]error{}}
}

// Check returns nil when path and each of its parents belong to trusted users and nobody else can write to them, by
// mode, by group or by POSIX ACL. A directory with the sticky bit, as /tmp, may be open to all: its entries are
// checked. A symbolic link is followed, and its target is checked as well. What does not exist yet cannot be changed:
// whoever may create it was checked before. The error is [ErrUnsafe], or that of the look itself.
func (t *Trust) Check(path string) error { return t.check(filepath.Clean(path), 0) }

// maxLinks bounds the symbolic links on the way to one path.
const maxLinks = 40

func (t *Trust) check(path string, links int) error {
	if err, known := t.results[path]; known {
		return err
	}
	err := t.checkUncached(path, links)
	t.results[path] = err
	return err
}

func (t *Trust) checkUncached(path string, links int) error {
	if parent := filepath.Dir(path); parent != path {
		if err := t.check(parent, links); err != nil {
			return err
		}
	}
	info, err := os.Lstat(path)
	if errors.Is(err, fs.ErrNotExist) || errors.Is(err, syscall.ENOTDIR) {
		return nil
	}
	if err != nil {
		return err
	}
	if err := t.checkEntry(path, info); err != nil || info.Mode()&fs.ModeSymlink == 0 {
		return err
	}
	if links >= maxLinks {
		return unsafef("%s is one of too many links", path)
	}
	target, err := os.Readlink(path)
	if err != nil {
		return err
	}
	if !filepath.IsAbs(target) {
		real, err := filepath.EvalSymlinks(filepath.Dir(path))
		if err != nil {
			return err
		}
		target = filepath.Join(real, target)
	}
	return t.check(filepath.Clean(target), links+1)
}

// checkEntry checks one component of a path.
func (t *Trust) checkEntry(path string, info fs.FileInfo) error {
	st, mode := info.Sys().(*syscall.Stat_t), info.Mode()
	if !slices.Contains(t.users, st.Uid) {
		return unsafef("%s belongs to user %d, who could change it: chown root %[1]s", path, st.Uid)
	}
	if mode&fs.ModeSymlink != 0 || mode.IsDir() && mode&fs.ModeSticky != 0 {
		return nil
	}
	acl, err := readACL(path)
	switch {
	case err != nil:
		return err
	case acl != nil:
		if who := acl.untrustedWriter(t.users, st.Gid); who != "" {
			return unsafef("%s is writable by %s through its ACL: setfacl -b %[1]s", path, who)
		}
		mode &^= 0o020 // the bits of the group are the mask of the ACL
	}
	if mode&0o002 != 0 || mode&0o020 != 0 && st.Gid != 0 {
		return unsafef("%s is writable by %s: chmod go-w %[1]s", path, t.others())
	}
	return nil
}

func (t *Trust) others() string {
	if len(t.users) == 1 {
		return "others than root"
	}
	return "others than root and its user"
}
