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

// Free space below which there is a warning, and below which preparer stops installing.
const (
	enoughBytes  = 1 << 30
	noBytes      = 16 << 20
	enoughInodes = 10_000
	noInodes     = 256
)

// volume is a file system and the directories on it.
type volume struct {
	unix.Statfs_t
	dirs []string
}

// checkSpace checks the file systems of the state directory and of the basedirs of the node's apps.
func checkSpace(state string, apps []intent.App) (found []finding) {
	dirs := []string{state}
	for _, app := range apps {
		if app.Deploy.Basedir != "" {
			dirs = append(dirs, app.Deploy.Basedir)
		}
	}
	var order []unix.Fsid
	volumes := map[unix.Fsid]*volume{}
	for _, dir := range dirs {
		at, err := statExisting(dir)
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

// statExisting describes the file system of dir, or of its nearest existing parent.
func statExisting(dir string) (at unix.Statfs_t, err error) {
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
	if v.Files > 0 { // not every file system counts inodes
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
