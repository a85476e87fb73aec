package main

import "golang.org/x/sys/unix"

// readOnly reports whether a file system is mounted read-only.
func readOnly(at unix.Statfs_t) bool { return at.Flags&unix.ST_RDONLY != 0 }
