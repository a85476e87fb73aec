package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"syscall"

	"golang.org/x/sys/unix"
)

// enoughDisk is below how many bytes free a state directory is worth a warning.
const enoughDisk = 1 << 30

// chain is the one that port-authority owns.
const chain = "PLATYPUS-INPUT"

// lookAtHost looks at what the agents need on the host that this runs on.
func lookAtHost(ctx context.Context, state string) []finding {
	found := []finding{disk(state)}
	found = append(found, locks(state)...)
	if runtime.GOOS != "linux" {
		return append(found, finding{"host", levelSkip, "firewall and supervisor are looked at on Linux only", ""})
	}
	return append(found, firewall(ctx), supervisor(), bus())
}

func disk(dir string) finding {
	at := dir
	var stat unix.Statfs_t
	err := unix.Statfs(at, &stat)
	for errors.Is(err, fs.ErrNotExist) && at != filepath.Dir(at) {
		at = filepath.Dir(at)
		err = unix.Statfs(at, &stat)
	}
	if err != nil {
		return finding{"disk", levelWarn, fmt.Sprintf("%s: %v", dir, err), "choose another directory with --state-dir"}
	}
	free := uint64(stat.Bavail) * uint64(stat.Bsize)
	text := fmt.Sprintf("%.1f GB free below %s", float64(free)/1e9, at)
	if free < enoughDisk {
		return finding{"disk", levelWarn, text, "make room: agents cannot keep their caches"}
	}
	return finding{"disk", levelOK, text, ""}
}

// locks tells which agents hold their state directory. The lock itself is not tried: an agent may start this moment.
func locks(state string) []finding {
	var held []string
	for _, agent := range agentNames {
		data, err := os.ReadFile(filepath.Join(state, agent, "lock"))
		pid, _ := strconv.Atoi(strings.TrimSpace(string(data)))
		if err == nil && pid > 0 && !errors.Is(syscall.Kill(pid, 0), syscall.ESRCH) {
			held = append(held, fmt.Sprintf("%s (pid %d)", agent, pid))
		}
	}
	if len(held) == 0 {
		return []finding{{"lock", levelOK, "no agent holds a lock below " + state, ""}}
	}
	return []finding{{"lock", levelOK, "held by " + strings.Join(held, ", "), ""}}
}

// firewall finds which back-end iptables drives, and whether rules of port-authority lie in the other one, where they
// would go on filtering unseen.
func firewall(ctx context.Context) finding {
	version, err := tool(ctx, "iptables", "--version")
	if err != nil {
		return finding{"firewall", levelWarn, "iptables is not here", "port-authority needs it: apt-get install iptables"}
	}
	mine, other := "nft", "legacy"
	if !strings.Contains(version, "nf_tables") {
		mine, other = "legacy", "nft"
	}
	if os.Geteuid() != 0 {
		return finding{"firewall", levelSkip, fmt.Sprintf("iptables drives %s; its rules are shown to root only", mine), ""}
	}
	if rules, err := tool(ctx, "iptables-"+other+"-save", "-t", "filter"); err == nil && strings.Contains(rules, ":"+chain+" ") {
		return finding{"firewall", levelFail, fmt.Sprintf("%s lies in the %s tables while iptables drives %s", chain, other, mine),
			fmt.Sprintf("remove it there: iptables-%s -D INPUT -j %s; iptables-%s -F %s; iptables-%s -X %s", other, chain, other, chain, other, chain)}
	}
	rules, err := tool(ctx, "iptables-"+mine+"-save", "-t", "filter")
	switch {
	case err != nil:
		return finding{"firewall", levelWarn, fmt.Sprintf("the rules cannot be read: %v", err), "load the modules of netfilter, or look at dmesg"}
	case strings.Contains(rules, ":"+chain+" "):
		return finding{"firewall", levelOK, fmt.Sprintf("iptables drives %s, %s is there", mine, chain), ""}
	}
	return finding{"firewall", levelOK, fmt.Sprintf("iptables drives %s, %s is not there yet", mine, chain), ""}
}

// tool runs a program that only looks. Root's programs are not on everybody's PATH.
func tool(ctx context.Context, name string, args ...string) (string, error) {
	for _, dir := range []string{"", "/usr/sbin", "/sbin"} {
		path, err := exec.LookPath(filepath.Join(dir, name))
		if err != nil {
			continue
		}
		out, err := exec.CommandContext(ctx, path, args...).Output()
		if err != nil {
			return "", fmt.Errorf("run %s: %w", name, err)
		}
		return string(out), nil
	}
	return "", fmt.Errorf("run %s: %w", name, exec.ErrNotFound)
}

// supervisor finds what could run services: setlive needs one of the two.
func supervisor() finding {
	var running []string
	if _, err := os.Stat("/run/systemd/system"); err == nil {
		running = append(running, "systemd")
	}
	comms, _ := filepath.Glob("/proc/[0-9]*/comm")
	for _, path := range comms {
		if name, _ := os.ReadFile(path); strings.TrimSpace(string(name)) == "runsvdir" {
			running = append(running, "runit")
			break
		}
	}
	if len(running) > 0 {
		return finding{"supervisor", levelOK, strings.Join(running, " and ") + " runs", ""}
	}
	if _, err := exec.LookPath("runsvdir"); err == nil {
		return finding{"supervisor", levelWarn, "runit is installed and does not run", "start it: runsvdir /etc/service"}
	}
	return finding{"supervisor", levelWarn, "neither systemd nor runit runs here", "setlive needs one: apt-get install runit"}
}

// bus looks for the message bus through which systemd is asked.
func bus() finding {
	if _, err := os.Stat("/run/systemd/system"); err != nil {
		return finding{"dbus", levelSkip, "only systemd needs it, which does not run here", ""}
	}
	if _, err := os.Stat("/run/dbus/system_bus_socket"); err != nil {
		return finding{"dbus", levelWarn, "no system bus at /run/dbus/system_bus_socket", "apt-get install dbus"}
	}
	return finding{"dbus", levelOK, "the system bus is there", ""}
}
