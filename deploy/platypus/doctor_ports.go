package main

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"github.com/platypus-platform/platypus/intent"
)

// listener is a listening socket.
type listener struct {
	protocol intent.Protocol
	port     int
	inode    string
}

// claimingApps returns the apps that declare the port.
func (l listener) claimingApps(apps []intent.App) (names []string) {
	for _, app := range apps {
		if slices.ContainsFunc(app.Deploy.Ports, func(p intent.Port) bool {
			return p.Protocol == l.protocol && p.First <= l.port && l.port <= p.Last
		}) {
			names = append(names, string(app.Name))
		}
	}
	return names
}

// checkPorts finds the ports of the node's apps on which another process listens.
func checkPorts(apps []intent.App) (found []finding) {
	all := listProcesses()
	byPid, owners, said := map[int]process{}, socketOwners(all), map[string]bool{}
	for _, p := range all {
		byPid[p.pid] = p
	}
	for _, l := range readListeners() {
		claims := l.claimingApps(apps)
		if len(claims) == 0 {
			continue
		}
		if f, odd := portFinding(l, claims, owners, byPid); odd && !said[f.Found] {
			said[f.Found] = true
			found = append(found, f)
		}
	}
	found = append(found, silentPorts(apps)...)
	if len(found) == 0 {
		return []finding{{"ports", levelOK, "nobody else listens on the ports of the apps of this node", ""}}
	}
	return found
}

// silentPorts finds the TCP ports of running apps that nobody listens on: they are open, and refuse every connection.
func silentPorts(apps []intent.App) (found []finding) {
	all := readListeners()
	for _, app := range apps {
		active, runs := app.Config.Active()
		if !runs {
			continue
		}
		for _, p := range app.Deploy.Ports {
			listens := slices.ContainsFunc(all, func(l listener) bool {
				return l.protocol == p.Protocol && p.First <= l.port && l.port <= p.Last
			})
			if p.Protocol == intent.TCP && !listens {
				found = append(found, finding{"ports", levelWarn, fmt.Sprintf("nothing on this host listens on %s of %s", p, app.Name),
					fmt.Sprintf("does %s %s listen on another port? platypus logs %[1]s shows what it prints", app.Name, active)})
			}
		}
	}
	return found
}

// portFinding reports whether a listener is one of the apps that claim its port.
func portFinding(l listener, claims []string, owners map[string]process, byPid map[int]process) (finding, bool) {
	what := fmt.Sprintf("port %d/%s of %s", l.port, l.protocol, strings.Join(claims, " and "))
	p, known := owners[l.inode]
	if !known {
		return finding{"ports", levelSkip, what + " is listened on by a process that is not shown to everybody", "run it as root"}, true
	}
	app, ours := appOf(p, byPid)
	switch {
	case ours && slices.Contains(claims, app):
		return finding{}, false
	case ours:
		return finding{"ports", levelWarn, fmt.Sprintf("%s is held by the app %s (%s, pid %d)", what, app, p.name, p.pid),
			"give one of them another port in its deploy_config"}, true
	case p.env == nil && os.Geteuid() != 0:
		return finding{"ports", levelSkip, fmt.Sprintf("%s is held by %s (pid %d), which may be it", what, p.name, p.pid), "run it as root"}, true
	}
	return finding{"ports", levelWarn, fmt.Sprintf("%s is held by %s (pid %d), which is no app", what, p.name, p.pid),
		"stop it, or give the app another port in its deploy_config"}, true
}

// appOf returns the app of a process: setlive sets it in the environment of its services. A process with a cleared
// environment may have a parent with one.
func appOf(p process, byPid map[int]process) (string, bool) {
	for range 32 {
		if app, ok := p.variable("PLATYPUS_APP"); ok {
			return app, true
		}
		parent, ok := byPid[p.parent]
		if !ok || p.parent <= 1 {
			return "", false
		}
		p = parent
	}
	return "", false
}

// readListeners reads the socket tables of the kernel.
func readListeners() (all []listener) {
	for _, table := range []struct {
		file     string
		protocol intent.Protocol
		state    string // the state of a listening socket in these tables
	}{{"tcp", intent.TCP, "0A"}, {"tcp6", intent.TCP, "0A"}, {"udp", intent.UDP, "07"}, {"udp6", intent.UDP, "07"}} {
		data, _ := os.ReadFile(filepath.Join("/proc/self/net", table.file))
		for line := range strings.Lines(string(data)) {
			fields := strings.Fields(line)
			if len(fields) < 10 || fields[3] != table.state {
				continue
			}
			_, text, _ := strings.Cut(fields[1], ":")
			port, err := strconv.ParseUint(text, 16, 16)
			if err != nil {
				continue
			}
			all = append(all, listener{table.protocol, int(port), fields[9]})
		}
	}
	return all
}

// socketOwners maps socket inodes to the process that holds them.
func socketOwners(all []process) map[string]process {
	holders := map[string]process{}
	for _, p := range all {
		fds, _ := filepath.Glob(fmt.Sprintf("/proc/%d/fd/*", p.pid))
		for _, fd := range fds {
			target, _ := os.Readlink(fd)
			if inode, ok := strings.CutPrefix(target, "socket:["); ok {
				holders[strings.TrimSuffix(inode, "]")] = p
			}
		}
	}
	return holders
}
