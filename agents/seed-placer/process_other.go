//go:build !linux

package main

import (
	"os/exec"
	"syscall"
)

// attributes are none: without Linux, a worker ends when its standard input does.
func attributes() *syscall.SysProcAttr { return nil }

func start(cmd *exec.Cmd) error { return cmd.Start() }

// keepToItself has nothing to do.
func keepToItself() {}
