package main

import (
	"debug/elf"
	"runtime"

	"golang.org/x/sys/unix"
)

// machine is the kind of programs that this host runs without help.
var machine = map[string]elf.Machine{"amd64": elf.EM_X86_64, "arm64": elf.EM_AARCH64}[runtime.GOARCH]

// noexec reports whether nothing may be run from the file system of a path.
func noexec(path string) bool {
	var at unix.Statfs_t
	return unix.Statfs(path, &at) == nil && at.Flags&unix.ST_NOEXEC != 0
}
