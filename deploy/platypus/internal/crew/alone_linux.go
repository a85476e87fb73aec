package crew

import (
	"os"
	"syscall"
)

// Namespaces says whether a program can get a network of its own here.
const Namespaces = true

// attributes put a program into a process group of its own, so that Ctrl-C on a terminal reaches the crew's owner
// alone, and let it end with its owner even when that is killed.
func attributes(m Member) *syscall.SysProcAttr {
	a := &syscall.SysProcAttr{Setpgid: true, Pdeathsig: m.Stop}
	if !m.Alone {
		return a
	}
	a.Cloneflags = syscall.CLONE_NEWNET
	if uid := os.Geteuid(); uid != 0 {
		a.Cloneflags |= syscall.CLONE_NEWUSER
		a.UidMappings = []syscall.SysProcIDMap{{ContainerID: 0, HostID: uid, Size: 1}}
		a.GidMappings = []syscall.SysProcIDMap{{ContainerID: 0, HostID: os.Getegid(), Size: 1}}
	}
	return a
}
