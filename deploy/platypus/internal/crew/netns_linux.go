package crew

import (
	"os"
	"syscall"
)

// Namespaces reports whether a program can have its own network namespace on this platform.
const Namespaces = true

// sysProcAttr puts a program into its own process group, so that Ctrl-C on a terminal reaches only the owner of the
// group, and makes the kernel end it when its owner is killed.
func sysProcAttr(m Program) *syscall.SysProcAttr {
	a := &syscall.SysProcAttr{Setpgid: true, Pdeathsig: m.StopSignal}
	if !m.OwnNetwork {
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
