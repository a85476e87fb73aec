package worker

import (
	"fmt"
	"os"

	"golang.org/x/sys/unix"
)

// limitProcess takes from this process what a seed that broke out of its engine would like to have: core dumps, debugging
// by others, new privileges, and files and processes without bound. It ends with the agent that started it.
func limitProcess() error {
	for resource, most := range map[int]uint64{unix.RLIMIT_CORE: 0, unix.RLIMIT_NOFILE: 8192, unix.RLIMIT_FSIZE: 1 << 30} {
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
