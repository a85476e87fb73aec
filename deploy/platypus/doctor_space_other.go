//go:build !linux

package main

import "golang.org/x/sys/unix"

// readOnly is known on Linux only.
func readOnly(unix.Statfs_t) bool { return false }
