package main

import (
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"
	"slices"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/platypus-platform/platypus/intent"
)

// What is left on a file system before it is worth a warning, and before preparer installs nothing any more.
const (
	enoughBytes  = 1 << 30
	noBytes      = 16 << 20
	enoughInodes = 10_000
	noInodes     = 256
)

// volume is a file system with what lies on it.
type volume struct {
	unix.Statfs_t
	dirs []string
}

// space looks at the file systems below the state directory and the basedirs of the node's apps.
func space(state string, apps []intent.App) (found []finding) {
	dirs := []string{state}
	for _, app := range apps {
		if app.Deploy.Basedir != "" {
			dirs = append(dirs, app.Deploy.Basedir)
		}
	}
	var order []unix.Fsid
	volumes := map[unix.Fsid]*volume{}
	for _, dir := range dirs {
		at, err := nearest(dir)
		if err != nil {
			found = append(found, finding{"disk", levelWarn, fmt.Sprintf("%s: %v", dir, err), "choose another directory, or mend this one"})
			continue
		}
		if volumes[at.Fsid] == nil {
			volumes[at.Fsid] = &volume{Statfs_t: at}
			order = append(order, at.Fsid)
		}
		if v := volumes[at.Fsid]; !slices.Contains(v.dirs, dir) {
			v.dirs = append(v.dirs, dir)
		}
	}
	for _, id := range order {
		found = append(found, volumes[id].finding())
	}
	return found
}

// nearest describes the file system that dir lies on, or would if it were made.
func nearest(dir string) (at unix.Statfs_t, err error) {
	err = unix.Statfs(dir, &at)
	for errors.Is(err, fs.ErrNotExist) && dir != filepath.Dir(dir) {
		dir = filepath.Dir(dir)
		err = unix.Statfs(dir, &at)
	}
	return at, err
}

func (v *volume) finding() finding {
	free, inodes := uint64(v.Bavail)*uint64(v.Bsize), uint64(v.Ffree)
	text := fmt.Sprintf("%.1f GB", float64(free)/1e9)
	if v.Files > 0 { // not every file system counts them
		text += fmt.Sprintf(" and %d inodes", inodes)
	} else {
		inodes = enoughInodes
	}
	text += " free for " + strings.Join(v.dirs, ", ")
	switch {
	case readOnly(v.Statfs_t):
		return finding{"disk", levelFail, "read-only: " + strings.Join(v.dirs, ", "), "look at dmesg for why, then: mount -o remount,rw"}
	case free < noBytes:
		return finding{"disk", levelFail, text, "make room: nothing can be installed or remembered (df -h; du -x)"}
	case inodes < noInodes:
		return finding{"disk", levelFail, text, "remove small files: nothing can be installed (df -i; du -x --inodes)"}
	case free < enoughBytes || inodes < enoughInodes:
		return finding{"disk", levelWarn, text, "make room, or lower keep in deploy_config: spare installs go when the disk is full"}
	}
	return finding{"disk", levelOK, text, ""}
}
