//go:build !linux

package main

import "golang.org/x/sys/unix"

// readOnly is implemented on Linux only.
func readOnly(unix.Statfs_t) bool { return false }
