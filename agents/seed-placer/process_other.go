//go:build !linux

package main

import (
	"os"
	"os/exec"
	"syscall"
)

// workerAttributes are empty: without Linux, a worker ends when its standard input does.
func workerAttributes() *syscall.SysProcAttr { return nil }

func startWorker(cmd *exec.Cmd) error { return cmd.Start() }

// disableDumps does nothing without Linux.
func disableDumps() {}

// anonymousFile returns an empty file that has no name any more.
func anonymousFile(dir string) (*os.File, error) {
	f, err := os.CreateTemp(dir, ".busy-")
	if err != nil {
		return nil, err
	}
	return f, os.Remove(f.Name())
}
