package main

import (
	"os"
	"os/exec"
	"runtime"
	"sync"
	"syscall"

	"golang.org/x/sys/unix"
)

// disableDumps prevents non-root users from reading the agent's memory, which holds a key: the workers run as the
// same user.
func disableDumps() { _ = unix.Prctl(unix.PR_SET_DUMPABLE, 0, 0, 0, 0) }

// workerAttributes make the kernel kill a worker when the agent ends, even by SIGKILL.
func workerAttributes() *syscall.SysProcAttr {
	return &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL, Setpgid: true}
}

// startWorker starts a worker from a thread that lives as long as the agent: the parent death signal is sent when the
// starting thread ends.
func startWorker(cmd *exec.Cmd) error {
	request := startRequest{cmd, make(chan error, 1)}
	startRequests() <- request
	return <-request.done
}

type startRequest struct {
	cmd  *exec.Cmd
	done chan error
}

// startRequests starts the long-lived thread on first use.
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

// anonymousFile returns an empty file in memory, so that disk I/O never blocks a worker.
func anonymousFile(string) (*os.File, error) {
	fd, err := unix.MemfdCreate("notes", unix.MFD_CLOEXEC)
	if err != nil {
		return nil, err
	}
	return os.NewFile(uintptr(fd), "notes"), nil
}
