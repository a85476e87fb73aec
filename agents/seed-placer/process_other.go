//go:build !linux

package main

import (
	"os"
	"os/exec"
	"syscall"
)

// workerAttributes are none: without Linux, a worker ends when its standard input does.
func workerAttributes() *syscall.SysProcAttr { return nil }

func startWorker(cmd *exec.Cmd) error { return cmd.Start() }

// disableDumps has nothing to do.
func disableDumps() {}

// anonymousFile is an empty file in a folder that nobody else finds.
func anonymousFile(dir string) (*os.File, error) {
	f, err := os.CreateTemp(dir, ".busy-")
	if err != nil {
		return nil, err
	}
	return f, os.Remove(f.Name())
}
