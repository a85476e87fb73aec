package main

import (
	"os"
	"os/exec"
	"runtime"
	"sync"
	"syscall"

	"golang.org/x/sys/unix"
)

// disableDumps has nobody but root read the memory of the agent, which holds a key: its workers run as the same user.
func disableDumps() { _ = unix.Prctl(unix.PR_SET_DUMPABLE, 0, 0, 0, 0) }

// workerAttributes make a worker end with the agent, even with one that was killed.
func workerAttributes() *syscall.SysProcAttr {
	return &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL, Setpgid: true}
}

// startWorker starts a worker from a thread that lives as long as the agent: the kernel takes the end of the thread that
// started a process for the end of its parent.
func startWorker(cmd *exec.Cmd) error {
	request := startRequest{cmd, make(chan error, 1)}
	startRequests() <- request
	return <-request.done
}

type startRequest struct {
	cmd  *exec.Cmd
	done chan error
}

// startRequests returns where to ask for processes.
var startRequests = sync.OnceValue(func() chan<- startRequest {
	requests := make(chan startRequest)
	go func() {
		runtime.LockOSThread()
		for r := range requests {
			r.done <- r.cmd.Start()
		}
	}()
	return requests
})

// anonymousFile is an empty file that lies on no disk, so that no disk keeps a worker waiting.
func anonymousFile(string) (*os.File, error) {
	fd, err := unix.MemfdCreate("notes", unix.MFD_CLOEXEC)
	if err != nil {
		return nil, err
	}
	return os.NewFile(uintptr(fd), "notes"), nil
}
