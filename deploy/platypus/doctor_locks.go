package main

import (
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"golang.org/x/sys/unix"
)

// checkLocks reports which processes hold the state directories of agents. It queries the locks without taking them,
// because an agent may be starting.
func checkLocks(state string) []finding {
	var held, free []string
	var found []finding
	paths, _ := filepath.Glob(filepath.Join(state, "*", "lock"))
	for _, path := range paths {
		agent := filepath.Base(filepath.Dir(path))
		pid, err := lockHolder(path)
		switch {
		case err != nil:
			found = append(found, finding{"lock", levelSkip, fmt.Sprintf("%s: %v", path, err), "run it as root"})
		case pid == 0:
			free = append(free, agent)
		default:
			held = append(held, fmt.Sprintf("%s (pid %d)", agent, pid))
		}
	}
	switch {
	case len(held) > 0:
		found = append(found, finding{"lock", levelOK, "held by " + strings.Join(held, ", "), ""})
	case len(found) == 0:
		found = append(found, finding{"lock", levelOK, "no agent holds a lock below " + state, ""})
	}
	if len(free) > 0 {
		found = append(found, finding{"lock", levelWarn, "ran here and does not now: " + strings.Join(free, ", "), "start it; its log says why it ended"})
	}
	return found
}

// lockHolder asks the kernel which process holds the record lock of an agent; 0 means none.
func lockHolder(path string) (int, error) {
	f, err := os.Open(path)
	if err != nil {
		return 0, err
	}
	defer f.Close()
	lock := unix.Flock_t{Type: unix.F_WRLCK, Whence: io.SeekStart}
	if err := unix.FcntlFlock(f.Fd(), unix.F_GETLK, &lock); err != nil {
		return 0, os.NewSyscallError("fcntl", err)
	}
	if lock.Type == unix.F_UNLCK {
		return 0, nil
	}
	return int(lock.Pid), nil
}

// checkDuplicates finds agents that run twice for the same host, such as with another root: with separate state
// directories, no lock excludes the second.
func checkDuplicates(all []process) (found []finding) {
	for _, agent := range agentNames {
		byPlace := map[string][]process{}
		for _, p := range all {
			if p.name == agent && !slices.Contains(p.args, "--dry-run") {
				byPlace[p.namespaces] = append(byPlace[p.namespaces], p)
			}
		}
		for _, same := range byPlace {
			if len(same) < 2 {
				continue
			}
			var who []string
			for _, p := range same {
				who = append(who, fmt.Sprintf("pid %d (root %q, state in %s)", p.pid, p.flagOrEnv("root", "platypus/"), p.flagOrEnv("state-dir", filepath.Join(stateHome(), agent))))
			}
			found = append(found, finding{"copies", levelWarn, fmt.Sprintf("%d of %s run on this host: %s", len(same), agent, strings.Join(who, ", ")),
				"end all but one: two undo each other's work"})
		}
	}
	if len(found) == 0 {
		return []finding{{"copies", levelOK, "no agent runs twice", ""}}
	}
	return found
}
