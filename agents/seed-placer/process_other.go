//go:build !linux

package main

import (
	"os"
	"os/exec"
	"syscall"
)

// attributes are none: without Linux, a worker ends when its standard input does.
func attributes() *syscall.SysProcAttr { return nil }

func start(cmd *exec.Cmd) error { return cmd.Start() }

// keepToItself has nothing to do.
func keepToItself() {}

// nameless is an empty file in a folder that nobody else finds.
func nameless(dir string) (*os.File, error) {
	f, err := os.CreateTemp(dir, ".busy-")
	if err != nil {
		return nil, err
	}
	return f, os.Remove(f.Name())
}
