package main

import (
	"errors"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"

	"github.com/platypus-platform/platypus/agents/internal/host"
	"github.com/platypus-platform/platypus/intent"
)

// The directories below a basedir that belong to this agent, beside installs.
const (
	staging = ".staging"
	trash   = ".trash"
)

// ownDirs are the directories this agent makes below a basedir, with their modes: what is staged is nobody's business,
// what is installed must be readable by whoever runs it.
var ownDirs = map[string]fs.FileMode{"installs": 0o755, staging: 0o700, trash: 0o700}

// checkSafe refuses a basedir through which somebody else could make us write elsewhere: as root, every directory on
// the way must be writable by root alone (or sticky, as /tmp is), and no link on the way may be another's. Directories
// that are not there yet are no danger, for whoever may make them was checked before.
func checkSafe(basedir string) error {
	for path := basedir; ; path = filepath.Dir(path) {
		info, err := os.Stat(path)
		if err == nil && !info.IsDir() {
			return stepErrorf(InTheWay, "%s is not a directory: move it away", path)
		}
		if err == nil || path == filepath.Dir(path) {
			break
		}
		if !errors.Is(err, fs.ErrNotExist) && !errors.Is(err, syscall.ENOTDIR) {
			return classify(err)
		}
	}
	return trusted(basedir)
}

// trusted refuses, as root, a path that others than root could change.
func trusted(path string) error {
	if os.Geteuid() != 0 {
		return nil // what we can harm is only our own
	}
	err := host.NewTrust().Check(path)
	if errors.Is(err, host.ErrUnsafe) {
		return &stepError{Reason: Unsafe, Err: err}
	}
	return classify(err)
}

// openBasedir makes the basedir and what belongs to us below it, and opens it. Nothing of ours may be a link.
func openBasedir(basedir string) (*os.Root, error) {
	if err := checkSafe(basedir); err != nil {
		return nil, err
	}
	if err := makeReadable(basedir); err != nil {
		return nil, err
	}
	root, err := os.OpenRoot(basedir)
	if err != nil {
		return nil, err
	}
	for _, name := range slices.Sorted(maps.Keys(ownDirs)) { // in order, so that a fault is the same each time
		if err := makeOwn(root, name, ownDirs[name]); err != nil {
			root.Close()
			return nil, err
		}
	}
	return root, nil
}

// makeReadable makes a directory and its parents. Whatever the umask, an app's own user must find the way.
func makeReadable(dir string) error {
	err := os.Mkdir(dir, 0o755)
	if errors.Is(err, fs.ErrNotExist) {
		if err = makeReadable(filepath.Dir(dir)); err == nil {
			err = os.Mkdir(dir, 0o755)
		}
	}
	switch {
	case err == nil:
		return os.Chmod(dir, 0o755)
	case errors.Is(err, fs.ErrExist):
		return nil
	}
	return err
}

func makeOwn(root *os.Root, name string, mode fs.FileMode) error {
	err := root.Mkdir(name, mode)
	if err == nil {
		return root.Chmod(name, mode)
	}
	if !errors.Is(err, fs.ErrExist) {
		return err
	}
	return checkOwn(root, name)
}

// checkOwn refuses a link, a file, or another user's directory in the place of ours. It must exist.
func checkOwn(root *os.Root, name string) error {
	info, err := root.Lstat(name)
	if err != nil {
		return err
	}
	path := filepath.Join(root.Name(), name)
	if !info.IsDir() {
		return stepErrorf(InTheWay, "%s is not a directory: move it away", path)
	}
	return trusted(path)
}

// versionOf tells which version an entry of installs/ is of, if it is one of app's.
func versionOf(app intent.Name, entry string) (intent.Name, bool) {
	rest, ok := strings.CutPrefix(entry, string(app)+"_")
	if !ok {
		return "", false
	}
	v, err := intent.ParseName(rest)
	return v, err == nil
}
