//go:build !linux

package crew

import "syscall"

// Namespaces reports whether a program can have its own network namespace on this platform.
const Namespaces = false

// becomeSubreaper and killOrphans need Linux; elsewhere init adopts the orphans.
func becomeSubreaper() {}
func killOrphans()     {}

// sysProcAttr puts a program into its own process group, so that Ctrl-C on a terminal reaches only the owner of the
// group.
func sysProcAttr(Program) *syscall.SysProcAttr { return &syscall.SysProcAttr{Setpgid: true} }
