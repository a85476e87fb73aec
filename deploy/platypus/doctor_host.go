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

// patience is how long something on this host may take to answer.
const patience = 5 * time.Second

// chain is the one that port-authority owns.
const chain = "PLATYPUS-INPUT"

// lookAtHost looks at what the agents need on the host that this runs on.
func lookAtHost(ctx context.Context, state string, apps []intent.App) []finding {
	found := space(state, apps)
	found = append(found, locks(state)...)
	if runtime.GOOS != "linux" {
		return append(found, finding{"host", levelSkip, "processes, firewall and supervisor are looked at on Linux only", ""})
	}
	found = append(found, copies(processes())...)
	found = append(found, firewall(ctx), families(ctx), supervisor(ctx), bus())
	return append(found, ports(apps)...)
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

// families finds out whether both families of addresses are filtered in the same place.
func families(ctx context.Context) finding {
	four, err4 := tool(ctx, "iptables", "--version")
	six, err6 := tool(ctx, "ip6tables", "--version")
	switch nft4, nft6 := strings.Contains(four, "nf_tables"), strings.Contains(six, "nf_tables"); {
	case err4 != nil || err6 != nil:
		return finding{"families", levelSkip, "iptables or ip6tables is not here", ""}
	case nft4 != nft6:
		return finding{"families", levelWarn, fmt.Sprintf("iptables is %s and ip6tables is %s", strings.TrimSpace(four), strings.TrimSpace(six)),
			"choose one back-end for both: update-alternatives --config ip6tables"}
	}
	return finding{"families", levelOK, "IPv4 and IPv6 are driven by the same back-end", ""}
}

// supervisor finds what could run services, and whether it answers: setlive needs one of the two.
func supervisor(ctx context.Context) finding {
	var running []string
	if _, err := os.Stat("/run/systemd/system"); err == nil {
		ctx, cancel := context.WithTimeout(ctx, patience)
		defer cancel()
		state, err := tool(ctx, "systemctl", "show", "--property=SystemState", "--value")
		if err != nil {
			return finding{"supervisor", levelFail, fmt.Sprintf("systemd runs and does not answer: %v", err),
				"look at it: systemctl status; journalctl -b -u dbus"}
		}
		running = append(running, "systemd ("+strings.TrimSpace(state)+")")
	}
	for _, p := range processes() {
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
