package main

import (
	"os"
	"os/exec"
	"runtime"
	"sync"
	"syscall"

	"golang.org/x/sys/unix"
)

// keepToItself has nobody but root read the memory of the agent, which holds a key: its workers run as the same user.
func keepToItself() { _ = unix.Prctl(unix.PR_SET_DUMPABLE, 0, 0, 0, 0) }

// attributes make a worker end with the agent, even with one that was killed.
func attributes() *syscall.SysProcAttr {
	return &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL, Setpgid: true}
}

// start starts a worker from a thread that lives as long as the agent: the kernel takes the end of the thread that
// started a process for the end of its parent.
func start(cmd *exec.Cmd) error {
	request := starting{cmd, make(chan error, 1)}
	starter() <- request
	return <-request.done
}

type starting struct {
	cmd  *exec.Cmd
	done chan error
}

// starter returns where to ask for processes.
var starter = sync.OnceValue(func() chan<- starting {
	requests := make(chan starting)
	go func() {
		runtime.LockOSThread()
		for r := range requests {
			r.done <- r.cmd.Start()
		}
	}()
	return requests
})

// nameless is an empty file that lies on no disk, so that no disk keeps a worker waiting.
func nameless(string) (*os.File, error) {
	fd, err := unix.MemfdCreate("notes", unix.MFD_CLOEXEC)
	if err != nil {
		return nil, err
	}
	return os.NewFile(uintptr(fd), "notes"), nil
}
