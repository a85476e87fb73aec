package worker

import (
	"fmt"
	"os"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// closeOnExec hides an inherited file from child processes.
func closeOnExec(fd int) { unix.CloseOnExec(fd) }

// limitCompiling limits the processor time and the memory of a compile process, and lowers its priority below that of
// calls. The kernel kills a process that exceeds them.
func limitCompiling(processor time.Duration, memory uint64) error {
	for resource, most := range map[int]uint64{unix.RLIMIT_CPU: uint64((processor + time.Second - 1) / time.Second), unix.RLIMIT_DATA: memory} {
		if err := unix.Setrlimit(resource, &unix.Rlimit{Cur: most, Max: most}); err != nil {
			return fmt.Errorf("limit the process: %w", err)
		}
	}
	return unix.Setpriority(unix.PRIO_PROCESS, 0, 10)
}

// limitMemory limits the memory of this process: it must crash before the kernel kills another process of the
// machine.
func limitMemory(bytes uint64) {
	var now unix.Rlimit
	if unix.Getrlimit(unix.RLIMIT_DATA, &now) == nil {
		now.Cur = min(bytes, now.Max)
		_ = unix.Setrlimit(unix.RLIMIT_DATA, &now)
	}
}

// maxFiles returns how many files this process may open.
func maxFiles() int {
	var now unix.Rlimit
	if unix.Getrlimit(unix.RLIMIT_NOFILE, &now) != nil {
		return defaultFiles
	}
	return int(min(now.Cur, defaultFiles))
}

// ownProgram returns the path of the running program, even if its file was replaced.
func ownProgram() (string, error) { return "/proc/self/exe", nil }

// parentDeathSignal makes a child end with the thread that started it.
func parentDeathSignal() *syscall.SysProcAttr {
	return &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
}

// limitProcess removes what code that escapes the engine could use: core dumps, debugging by others, new privileges,
// the environment, and unlimited files.
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
