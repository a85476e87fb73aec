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

// resync is short: somebody sits and waits.
const resync = "2s"

// These bring no app live: recorder makes the history whole when somebody writes plainly, allocator gives vms their
// machines, seed-placer keeps seeds ready and serves sites, dashboard shows all of it.
const (
	recorder   = "recorder"
	allocator  = "allocator"
	seedPlacer = "seed-placer"
	dashboard  = "dashboard"
)

// pageAddress is where the dashboard is when nobody else is there.
const pageAddress = "127.0.0.1:4000"

// seedPort is where seeds and sites answer when nobody else is there, and no app of this node wants to be.
const seedPort = 8080

// startAgents starts what can be started here, says what cannot, and returns the names of those that run.
func (l *laboratory) startAgents(ctx context.Context) map[string]bool {
	started := map[string]bool{}
	for _, name := range append(slices.Clone(agentNames), recorder, allocator, seedPlacer, dashboard) {
		path, err := beside(name)
		if err != nil {
			l.sh.say("%s is left out: it lies neither beside platypus nor on PATH: make build puts it there", name)
			continue
		}
		m := crew.Program{Name: name, Path: path, Env: l.environment(l.addr), Dir: l.dir, StopSignal: syscall.SIGTERM,
			Args: []string{"--node", string(l.node), "--state-dir", filepath.Join(l.dir, "state", name), "--resync", resync}}
		if l.ready(ctx, &m) {
			l.crew.Start(m)
			started[name] = true
		}
	}
	return started
}

// ready adds what only one agent needs.
func (l *laboratory) ready(ctx context.Context, m *crew.Program) bool {
	switch m.Name {
	case world.Preparer:
		m.Args = append(m.Args, "--repo", l.repo)
	case world.Setlive:
		services, stage := filepath.Join(l.dir, "service"), filepath.Join(l.dir, "stage")
		runsvdir, err := exec.LookPath("runsvdir")
		if err != nil {
			l.sh.say("setlive is left out: runit is not installed: apt-get install runit")
			return false
		}
		l.crew.Start(crew.Program{Name: "runsvdir", Path: runsvdir, Args: []string{"-P", services}, Dir: l.dir,
			Env: l.environment(l.addr), StopSignal: syscall.SIGHUP, OnExit: func() { shutServices(services) }})
		m.Args = append(m.Args, "--runit", services, "--runit-stage", stage)
	case dashboard:
		address := free(pageAddress)
		m.Args = append(m.Args, "--listen", address)
		l.sh.say("dashboard shows everything at http://%s", address)
	case seedPlacer:
		address := l.seedAddress(ctx)
		m.Args = append(m.Args, "--serve", address, "--socket", l.seedSocket())
		l.sh.say("seed-placer answers for seeds and sites at http://%s", address)
	case world.PortAuthority:
		if l.sh.flags.Bool("firewall") {
			break
		}
		if !crew.Namespaces {
			l.sh.say("port-authority is left out: this system has no network namespaces")
			return false
		}
		l.sh.say("port-authority works in a network namespace of its own: this host's firewall stays as it is (--firewall changes it)")
		m.OwnNetwork = true
		if !strings.HasPrefix(l.addr, "unix://") {
			m.Env = l.environment("unix://" + l.socket())
		}
	}
	return true
}

// seedAddress is free, and leaves the ports alone that apps of this node declare: they may not listen yet.
func (l *laboratory) seedAddress(ctx context.Context) string {
	preferred := fmt.Sprintf("127.0.0.1:%d", seedPort)
	w, err := world.ReadIntent(ctx, l.sh.store, l.sh.tree)
	if err != nil {
		return free(preferred)
	}
	for _, app := range w.Node(l.node).Apps {
		for _, port := range app.Deploy.Ports {
			if port.First <= seedPort && seedPort <= port.Last {
				return free("127.0.0.1:0")
			}
		}
	}
	return free(preferred)
}

// free returns the address, or one with a free port when something else listens there.
func free(address string) string {
	for _, try := range []string{address, "127.0.0.1:0"} {
		if listener, err := net.Listen("tcp", try); err == nil {
			defer listener.Close()
			return listener.Addr().String()
		}
	}
	return address
}

// environment is that of a child: the store is this one, whatever store the shell talks to.
func (l *laboratory) environment(address string) []string {
	var env []string
	for _, v := range os.Environ() {
		if !strings.HasPrefix(v, "CONSUL_") && !strings.HasPrefix(v, "PLATYPUS_") {
			env = append(env, v)
		}
	}
	if file := tokenFile(l.config); file != "" {
		env = append(env, "CONSUL_HTTP_TOKEN_FILE="+file)
	}
	return append(env, "CONSUL_HTTP_ADDR="+address, "PLATYPUS_ROOT="+l.sh.flags.String("root"))
}

// beside finds a program next to this one, where packages put the agents, or on PATH.
func beside(name string) (string, error) {
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

// shutServices waits until every service below a directory has ended, and kills what does not end by itself. runsvdir
// has told all of them to end and is gone.
func shutServices(dir string) {
	links, _ := filepath.Glob(filepath.Join(dir, "*"))
	if len(links) == 0 {
		return
	}
	_ = exec.Command("sv", append([]string{"-w", "10", "force-shutdown"}, links...)...).Run()
}
