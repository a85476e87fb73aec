package main

import (
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/platypus-platform/platypus/intent"
)

// machineMemory returns the memory that this process and its children may use: the machine's, or the smallest limit
// of its cgroups.
func machineMemory() intent.Size {
	var info unix.Sysinfo_t
	if unix.Sysinfo(&info) != nil {
		return 0
	}
	limit := uint64(info.Totalram) * uint64(info.Unit)
	groups, _ := os.ReadFile("/proc/self/cgroup")
	for _, line := range strings.Split(string(groups), "\n") {
		path, ok := strings.CutPrefix(line, "0::")
		for ; ok && path != "/" && path != "."; path = filepath.Dir(path) {
			text, _ := os.ReadFile(filepath.Join("/sys/fs/cgroup", path, "memory.max"))
			if n, err := strconv.ParseUint(strings.TrimSpace(string(text)), 10, 63); err == nil && n > 0 {
				limit = min(limit, n)
			}
		}
	}
	return intent.Size(limit)
}
