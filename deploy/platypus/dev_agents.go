package main

import (
	"context"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"

	"github.com/platypus-platform/platypus/deploy/platypus/internal/crew"
	"github.com/platypus-platform/platypus/deploy/platypus/internal/world"
)

// devResync is short, because a person waits.
const devResync = "2s"

// Agents that deploy no apps: recorder adds plain writes to the history, allocator places vms, seed-placer runs seeds
// and serves sites, dashboard shows all of it.
const (
	recorder   = "recorder"
	allocator  = "allocator"
	seedPlacer = "seed-placer"
	dashboard  = "dashboard"
)

// pageAddress is the default address of the dashboard, if it is free.
const pageAddress = "127.0.0.1:4000"

// seedPort is the default port of seeds and sites, if it is free and no app of this node declares it.
const seedPort = 8080

// startAgents starts the agents that can run here, reports those that cannot, and returns the names of the started
// ones.
func (l *devEnvironment) startAgents(ctx context.Context) map[string]bool {
	started := map[string]bool{}
	for _, name := range append(slices.Clone(agentNames), recorder, allocator, seedPlacer, dashboard) {
		path, err := findProgram(name)
		if err != nil {
			l.cmd.infof("%s is left out: it lies neither beside platypus nor on PATH: make build puts it there", name)
			continue
		}
		m := crew.Program{Name: name, Path: path, Env: l.childEnv(l.addr), Dir: l.dir, StopSignal: syscall.SIGTERM,
			Args: []string{"--node", string(l.node), "--state-dir", filepath.Join(l.dir, "state", name), "--resync", devResync}}
		if l.prepareAgent(ctx, &m) {
			l.crew.Start(m)
			started[name] = true
		}
	}
	return started
}

// prepareAgent adds the settings that only one agent needs.
func (l *devEnvironment) prepareAgent(ctx context.Context, m *crew.Program) bool {
	switch m.Name {
	case world.Preparer:
		m.Args = append(m.Args, "--repo", l.repo)
	case world.Setlive:
		services, stage := filepath.Join(l.dir, "service"), filepath.Join(l.dir, "stage")
		runsvdir, err := exec.LookPath("runsvdir")
		if err != nil {
			l.cmd.infof("setlive is left out: runit is not installed: apt-get install runit")
			return false
		}
		l.crew.Start(crew.Program{Name: "runsvdir", Path: runsvdir, Args: []string{"-P", services}, Dir: l.dir,
			Env: l.childEnv(l.addr), StopSignal: syscall.SIGHUP, OnExit: func() { stopServices(services) }})
		m.Args = append(m.Args, "--runit", services, "--runit-stage", stage)
	case dashboard:
		address := freeAddress(pageAddress)
		m.Args = append(m.Args, "--listen", address)
		l.cmd.infof("dashboard shows everything at http://%s", address)
	case seedPlacer:
		address := l.seedAddress(ctx)
		m.Args = append(m.Args, "--serve", address, "--socket", l.seedSocket())
		l.cmd.infof("seed-placer answers for seeds and sites at http://%s", address)
	case world.PortAuthority:
		if l.cmd.flags.Bool("firewall") {
			break
		}
		if !crew.Namespaces {
			l.cmd.infof("port-authority is left out: this system has no network namespaces")
			return false
		}
		l.cmd.infof("port-authority works in a network namespace of its own: this host's firewall stays as it is (--firewall changes it)")
		m.OwnNetwork = true
		if !strings.HasPrefix(l.addr, "unix://") {
			m.Env = l.childEnv("unix://" + l.socket())
		}
	}
	return true
}

// seedAddress returns a free address. It avoids ports that apps of this node declare, because they may not listen yet.
func (l *devEnvironment) seedAddress(ctx context.Context) string {
	preferred := fmt.Sprintf("127.0.0.1:%d", seedPort)
	w, err := world.ReadIntent(ctx, l.cmd.store, l.cmd.tree)
	if err != nil {
		return freeAddress(preferred)
	}
	for _, app := range w.Node(l.node).Apps {
		for _, port := range app.Deploy.Ports {
			if port.First <= seedPort && seedPort <= port.Last {
				return freeAddress("127.0.0.1:0")
			}
		}
	}
	return freeAddress(preferred)
}

// freeAddress returns the address, or one with a free port if the address is in use.
func freeAddress(address string) string {
	for _, try := range []string{address, "127.0.0.1:0"} {
		if listener, err := net.Listen("tcp", try); err == nil {
			defer listener.Close()
			return listener.Addr().String()
		}
	}
	return address
}

// childEnv returns the environment of a child: its store is this one, whatever store the shell uses.
func (l *devEnvironment) childEnv(address string) []string {
	var env []string
	for _, v := range os.Environ() {
		if !strings.HasPrefix(v, "CONSUL_") && !strings.HasPrefix(v, "PLATYPUS_") {
			env = append(env, v)
		}
	}
	if file := tokenFile(l.config); file != "" {
		env = append(env, "CONSUL_HTTP_TOKEN_FILE="+file)
	}
	return append(env, "CONSUL_HTTP_ADDR="+address, "PLATYPUS_ROOT="+l.cmd.flags.String("root"))
}

// findProgram finds a program next to this one, in the package directory of the agents, or on PATH.
func findProgram(name string) (string, error) {
	if self, err := os.Executable(); err == nil {
		for _, dir := range []string{".", "../lib/platypus"} {
			path := filepath.Join(filepath.Dir(self), dir, name)
			if at, err := os.Stat(path); err == nil && !at.IsDir() && at.Mode()&0o111 != 0 {
				return path, nil
			}
		}
	}
	return exec.LookPath(name)
}

// stopServices waits until every service below a directory has ended, and kills the rest. runsvdir has signalled all of
// them and is gone.
func stopServices(dir string) {
	links, _ := filepath.Glob(filepath.Join(dir, "*"))
	if len(links) == 0 {
		return
	}
	_ = exec.Command("sv", append([]string{"-w", "10", "force-shutdown"}, links...)...).Run()
}
