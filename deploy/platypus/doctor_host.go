package main

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"time"

	"github.com/platypus-platform/platypus/intent"
)

// hostTimeout limits each check on this host.
const hostTimeout = 5 * time.Second

// portChain is the chain that port-authority owns.
const portChain = "PLATYPUS-INPUT"

// checkHost checks what the agents need on this host.
func checkHost(ctx context.Context, state string, apps []intent.App) []finding {
	found := checkSpace(state, apps)
	found = append(found, checkLocks(state)...)
	if runtime.GOOS != "linux" {
		return append(found, finding{"host", levelSkip, "processes, firewall and supervisor are looked at on Linux only", ""})
	}
	found = append(found, checkDuplicates(listProcesses())...)
	found = append(found, checkFirewall(ctx), checkFamilies(ctx), checkSupervisor(ctx), checkBus())
	return append(found, checkPorts(apps)...)
}

// checkFirewall finds the back-end of iptables, and rules of port-authority in the other back-end, which would continue
// to filter unnoticed.
func checkFirewall(ctx context.Context) finding {
	version, err := runTool(ctx, "iptables", "--version")
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
	if rules, err := runTool(ctx, "iptables-"+other+"-save", "-t", "filter"); err == nil && strings.Contains(rules, ":"+portChain+" ") {
		return finding{"firewall", levelFail, fmt.Sprintf("%s lies in the %s tables while iptables drives %s", portChain, other, mine),
			fmt.Sprintf("remove it there: iptables-%s -D INPUT -j %s; iptables-%s -F %s; iptables-%s -X %s", other, portChain, other, portChain, other, portChain)}
	}
	rules, err := runTool(ctx, "iptables-"+mine+"-save", "-t", "filter")
	switch {
	case err != nil:
		return finding{"firewall", levelWarn, fmt.Sprintf("the rules cannot be read: %v", err), "load the modules of netfilter, or look at dmesg"}
	case strings.Contains(rules, ":"+portChain+" "):
		return finding{"firewall", levelOK, fmt.Sprintf("iptables drives %s, %s is there", mine, portChain), ""}
	}
	return finding{"firewall", levelOK, fmt.Sprintf("iptables drives %s, %s is not there yet", mine, portChain), ""}
}

// runTool runs a read-only program. Root's programs are not on everybody's PATH.
func runTool(ctx context.Context, name string, args ...string) (string, error) {
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

// checkFamilies checks that IPv4 and IPv6 are filtered by the same back-end.
func checkFamilies(ctx context.Context) finding {
	four, err4 := runTool(ctx, "iptables", "--version")
	six, err6 := runTool(ctx, "ip6tables", "--version")
	switch nft4, nft6 := strings.Contains(four, "nf_tables"), strings.Contains(six, "nf_tables"); {
	case err4 != nil || err6 != nil:
		return finding{"families", levelSkip, "iptables or ip6tables is not here", ""}
	case nft4 != nft6:
		return finding{"families", levelWarn, fmt.Sprintf("iptables is %s and ip6tables is %s", strings.TrimSpace(four), strings.TrimSpace(six)),
			"choose one back-end for both: update-alternatives --config ip6tables"}
	}
	return finding{"families", levelOK, "IPv4 and IPv6 are driven by the same back-end", ""}
}

// checkSupervisor finds the available supervisor and whether it answers: setlive needs systemd or runit.
func checkSupervisor(ctx context.Context) finding {
	var running []string
	if _, err := os.Stat("/run/systemd/system"); err == nil {
		ctx, cancel := context.WithTimeout(ctx, hostTimeout)
		defer cancel()
		state, err := runTool(ctx, "systemctl", "show", "--property=SystemState", "--value")
		if err != nil {
			return finding{"supervisor", levelFail, fmt.Sprintf("systemd runs and does not answer: %v", err),
				"look at it: systemctl status; journalctl -b -u dbus"}
		}
		running = append(running, "systemd ("+strings.TrimSpace(state)+")")
	}
	for _, p := range listProcesses() {
		if p.name == "runsvdir" {
			running = append(running, fmt.Sprintf("runit (pid %d: %s)", p.pid, strings.Join(p.args, " ")))
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

// checkBus checks for the message bus of systemd.
func checkBus() finding {
	if _, err := os.Stat("/run/systemd/system"); err != nil {
		return finding{"dbus", levelSkip, "only systemd needs it, which does not run here", ""}
	}
	if _, err := os.Stat("/run/dbus/system_bus_socket"); err != nil {
		return finding{"dbus", levelWarn, "no system bus at /run/dbus/system_bus_socket", "apt-get install dbus"}
	}
	return finding{"dbus", levelOK, "the system bus is there", ""}
}
