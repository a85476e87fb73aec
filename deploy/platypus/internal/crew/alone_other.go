//go:build !linux

package crew

import "syscall"

// Namespaces says whether a program can get a network of its own here.
const Namespaces = false

// adopt and bury need what only Linux has: what programs leave behind goes to init.
func adopt() {}
func bury()  {}

// attributes put a program into a process group of its own, so that Ctrl-C on a terminal reaches the crew's owner alone.
func attributes(Member) *syscall.SysProcAttr { return &syscall.SysProcAttr{Setpgid: true} }
