package worker

import (
	"fmt"
	"os"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// closeOnExec keeps a file that this process got from its parent from its children.
func closeOnExec(fd int) { unix.CloseOnExec(fd) }

// limitCompiling bounds the processor time and the memory of this process, which does nothing but compile. The kernel
// ends it when either is used up. Calls of seeds go first.
func limitCompiling(processor time.Duration, memory uint64) error {
	for resource, most := range map[int]uint64{unix.RLIMIT_CPU: uint64((processor + time.Second - 1) / time.Second), unix.RLIMIT_DATA: memory} {
		if err := unix.Setrlimit(resource, &unix.Rlimit{Cur: most, Max: most}); err != nil {
			return fmt.Errorf("limit the process: %w", err)
		}
	}
	return unix.Setpriority(unix.PRIO_PROCESS, 0, 10)
}

// limitMemory bounds what this process may have in all: the kernel refuses the rest, and the process ends rather than
// another of this machine.
func limitMemory(bytes uint64) {
	var now unix.Rlimit
	if unix.Getrlimit(unix.RLIMIT_DATA, &now) == nil {
		now.Cur = min(bytes, now.Max)
		_ = unix.Setrlimit(unix.RLIMIT_DATA, &now)
	}
}

// maxFiles is how many files this process may have open.
func maxFiles() int {
	var now unix.Rlimit
	if unix.Getrlimit(unix.RLIMIT_NOFILE, &now) != nil {
		return defaultFiles
	}
	return int(min(now.Cur, defaultFiles))
}

// ownProgram is the program of this process, even when its file was replaced.
func ownProgram() (string, error) { return "/proc/self/exe", nil }

// parentDeathSignal has a process end with the thread that started it.
func parentDeathSignal() *syscall.SysProcAttr {
	return &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
}

// limitProcess takes from this process what a seed that broke out of its engine would like to have: core dumps, debugging
// by others, new privileges, and files and processes without bound. It ends with the agent that started it.
func limitProcess() error {
	for resource, most := range map[int]uint64{unix.RLIMIT_CORE: 0, unix.RLIMIT_NOFILE: defaultFiles, unix.RLIMIT_FSIZE: 1 << 30} {
		var now unix.Rlimit
		if err := unix.Getrlimit(resource, &now); err != nil {
			return fmt.Errorf("limit the process: %w", err)
		}
		most = min(most, now.Max)
		if err := unix.Setrlimit(resource, &unix.Rlimit{Cur: most, Max: most}); err != nil {
			return fmt.Errorf("limit the process: %w", err)
		}
	}
	for _, option := range [][2]uintptr{{unix.PR_SET_NO_NEW_PRIVS, 1}, {unix.PR_SET_DUMPABLE, 0}} {
		if err := unix.Prctl(int(option[0]), option[1], 0, 0, 0); err != nil {
			return fmt.Errorf("limit the process: %w", err)
		}
	}
	os.Clearenv()
	return nil
}
