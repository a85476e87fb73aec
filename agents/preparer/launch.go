package main

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path"
	"path/filepath"

	"github.com/platypus-platform/platypus/intent"
)

// checkLaunch refuses an extracted artifact whose program cannot be started, before it gets the name of an install: its
// publisher hears of it when it is prepared and not when it is to go live.
func checkLaunch(dir *os.Root, s Step) error {
	where := filepath.Join(intent.Install(s.Basedir, s.App, s.Version), intent.Launch)
	info, err := dir.Stat(intent.Launch)
	if linked, lerr := dir.Lstat(intent.Launch); lerr == nil && err != nil && linked.Mode()&fs.ModeSymlink != 0 {
		target, _ := dir.Readlink(intent.Launch)
		if path.IsAbs(target) {
			return nil // to a program of the host, which is not ours to judge
		}
		return stepErrorf(NoLaunch, "%s is a link to %s, which is not in the archive", where, target)
	}
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return stepErrorf(NoLaunch, "%s is not there%s", where, packHint(dir))
	case err != nil:
		return withoutTempName(err)
	case !info.Mode().IsRegular():
		return stepErrorf(NoLaunch, "%s is not a file (mode %s)", where, info.Mode())
	case info.Mode()&0o111 == 0:
		return stepErrorf(NoLaunch, "%s is not executable (mode %04o): chmod 755 %s, and pack again", where, info.Mode().Perm(), intent.Launch)
	}
	return nil
}

// packHint tells how to pack when the program lies one directory too deep, and what is expected otherwise.
func packHint(dir *os.Root) string {
	entries, err := list(dir, ".")
	if err != nil {
		return ""
	}
	for _, e := range entries {
		inner := path.Join(e.Name(), intent.Launch)
		if info, err := dir.Stat(inner); err == nil && info.Mode().IsRegular() {
			return fmt.Sprintf(": the archive holds %s, so pack with tar -C %s .", inner, e.Name())
		}
	}
	return fmt.Sprintf(": pack the directory that holds %s, with tar -C DIR .", intent.Launch)
}
