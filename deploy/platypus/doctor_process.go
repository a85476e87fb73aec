package main

import (
	"os"
	"path/filepath"
	"strconv"
	"strings"
)

// process is the visible state of a running process. Much of it is visible to root only.
type process struct {
	pid        int
	parent     int
	name       string
	args       []string
	env        []string
	namespaces string // network and mount namespace: agents in different ones do not conflict
}

// listProcesses returns the running processes; none on systems other than Linux.
func listProcesses() (all []process) {
	dirs, _ := filepath.Glob("/proc/[0-9]*")
	for _, dir := range dirs {
		pid, err := strconv.Atoi(filepath.Base(dir))
		if err != nil {
			continue
		}
		if p, ok := readProcess(pid); ok {
			all = append(all, p)
		}
	}
	return all
}

func readProcess(pid int) (p process, ok bool) {
	dir := filepath.Join("/proc", strconv.Itoa(pid))
	stat, err := os.ReadFile(filepath.Join(dir, "stat"))
	if err != nil {
		return p, false // it has ended
	}
	open, end := strings.IndexByte(string(stat), '('), strings.LastIndexByte(string(stat), ')')
	fields := strings.Fields(string(stat[end+1:]))
	if open < 0 || end < open || len(fields) < 2 || fields[0] == "Z" {
		return p, false
	}
	p = process{pid: pid, name: string(stat[open+1 : end])}
	p.parent, _ = strconv.Atoi(fields[1])
	p.args = zeroTerminated(filepath.Join(dir, "cmdline"))
	p.env = zeroTerminated(filepath.Join(dir, "environ"))
	for _, space := range []string{"net", "mnt"} {
		where, _ := os.Readlink(filepath.Join(dir, "ns", space))
		p.namespaces += where
	}
	return p, true
}

func zeroTerminated(path string) []string {
	data, err := os.ReadFile(path)
	if err != nil || len(data) == 0 {
		return nil
	}
	return strings.Split(strings.TrimSuffix(string(data), "\x00"), "\x00")
}

// flagOrEnv returns a setting of a process: the value of a flag, or of its environment variable.
func (p process) flagOrEnv(flag, otherwise string) string {
	for i, arg := range p.args {
		bare := strings.TrimLeft(arg, "-")
		if value, ok := strings.CutPrefix(bare, flag+"="); ok && bare != arg {
			return value
		}
		if bare == flag && bare != arg && i+1 < len(p.args) {
			return p.args[i+1]
		}
	}
	if value, ok := p.variable("PLATYPUS_" + strings.ToUpper(strings.ReplaceAll(flag, "-", "_"))); ok {
		return value
	}
	return otherwise
}

func (p process) variable(name string) (string, bool) {
	for _, pair := range p.env {
		if value, ok := strings.CutPrefix(pair, name+"="); ok {
			return value, true
		}
	}
	return "", false
}
