//go:build !linux

package worker

import (
	"os"
	"syscall"
	"time"
)

// limitProcess clears the environment. Resource limits need Linux.
func limitProcess() error {
	os.Clearenv()
	return nil
}

func closeOnExec(fd int) { syscall.CloseOnExec(fd) }

func limitCompiling(time.Duration, uint64) error { return nil }

func limitMemory(uint64) {}

func maxFiles() int { return defaultFiles }

func ownProgram() (string, error) { return os.Executable() }

func parentDeathSignal() *syscall.SysProcAttr { return nil }
