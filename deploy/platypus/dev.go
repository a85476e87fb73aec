package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"syscall"

	"github.com/urfave/cli/v2"

	"github.com/platypus-platform/platypus/deploy/platypus/internal/crew"
	"github.com/platypus-platform/platypus/deploy/platypus/internal/intentfile"
	"github.com/platypus-platform/platypus/deploy/platypus/internal/world"
	"github.com/platypus-platform/platypus/intent"
	"github.com/platypus-platform/platypus/store"
	"github.com/platypus-platform/platypus/store/embedded"
	"github.com/platypus-platform/platypus/store/history"
)

func devVerb() verb {
	return verb{
		name: "dev", usage: "everything on this machine: a store, the agents, and your intent", args: "[FILE…]", minArgs: 0, maxArgs: -1,
		text: `Starts the embedded store and the agents that lie beside this program, each a process of its own, with all of their
state below one directory. Then it declares the files, if any. Ctrl-C ends every process that it started, apps too; what
lies in the directory stays, for the next time.
It needs no root: apps run as you. The host's own firewall is left alone: port-authority opens ports in a network
namespace that nobody else sees, unless --firewall says otherwise. A basedir that a file names must be writable.
This machine is the node that the files name, when they name one and --node says nothing else.`,
		examples: []string{"platypus dev", "platypus dev --dir /tmp/try slug.json", "platypus dev --repo https://artifacts.example.net slug.json"},
		flags: []cli.Flag{
			&cli.StringFlag{Name: "dir", Usage: "`DIR` that holds everything", Value: ".platypus"},
			&cli.StringFlag{Name: "listen", Usage: "`ADDR` of the store (default: the socket where programs look for it, " +
				"or store.sock below --dir when that is taken)"},
			&cli.StringFlag{Name: "node", Usage: "name of this `NODE` in the store (default: the node that the files name, else the host's name)", EnvVars: []string{"PLATYPUS_NODE"}},
			&cli.StringFlag{Name: "repo", Usage: "`URL` below which artifacts lie (default: artifacts/ below --dir)"},
			boolFlag("firewall", "let port-authority change this host's firewall"),
			boolFlag("once", "end as soon as everything is converged; exit code 2 when --timeout passes before"),
			&cli.DurationFlag{Name: "timeout", Usage: "how long --once waits", Value: defaultTimeout},
		},
		run: dev,
	}
}

// devEnvironment is what dev has set up.
type devEnvironment struct {
	cmd    *command
	dir    string // absolute
	node   intent.Name
	listen string
	repo   string // the folder of artifacts
	addr   string // of the store, in the form of CONSUL_HTTP_ADDR
	config embedded.Config
	crew   *crew.Group
}

func dev(ctx context.Context, cmd *command) error {
	runtime.LockOSThread() // Pdeathsig ends children with the thread that started them: the main thread lasts
	files, err := intentfile.Files{}, error(nil)
	if len(cmd.args) > 0 {
		if files, err = cmd.readFiles(); err != nil {
			return err
		}
	}
	l, err := newDevEnvironment(cmd, files.Entries)
	if err != nil {
		return err
	}
	storing, stopStore := context.WithCancel(context.WithoutCancel(ctx))
	defer stopStore()
	served, err := l.openStore(storing)
	if err != nil {
		return err
	}
	l.crew = crew.New(cmd.errOut, cmd.style.colour)
	err = l.run(ctx, files)
	cmd.infof("platypus dev: ending what was started")
	l.crew.Stop()
	stopStore()
	return errors.Join(err, <-served)
}

func newDevEnvironment(cmd *command, entries []intentfile.Entry) (*devEnvironment, error) {
	dir, err := filepath.Abs(cmd.flags.String("dir"))
	if err != nil {
		return nil, fmt.Errorf("find --dir: %w", err)
	}
	node, err := cmd.chooseNode(entries)
	if err != nil {
		return nil, err
	}
	for _, below := range []string{"artifacts", "service", "stage", "state"} {
		if err := os.MkdirAll(filepath.Join(dir, below), 0o755); err != nil {
			return nil, fmt.Errorf("make a place for everything: %w: choose another with --dir", err)
		}
	}
	repo := cmd.flags.String("repo")
	if repo == "" {
		repo = "file://" + filepath.Join(dir, "artifacts")
	}
	return &devEnvironment{cmd: cmd, dir: dir, node: node, repo: repo, listen: cmd.flags.String("listen")}, nil
}

// chooseNode returns the name of this node: the flag, else the only node in the files, else the host name.
func (cmd *command) chooseNode(entries []intentfile.Entry) (intent.Name, error) {
	var named []string
	for _, e := range entries {
		if rest, is := strings.CutPrefix(e.Key, "nodes/"); is {
			name, _, _ := strings.Cut(rest, "/")
			named = append(named, name)
		}
	}
	slices.Sort(named)
	named = slices.Compact(named)
	node := cmd.flags.String("node")
	if node == "" && len(named) == 1 {
		node = named[0]
	}
	if node == "" {
		host, err := os.Hostname()
		if err != nil {
			return "", fmt.Errorf("find the name of this host: %w: give --node", err)
		}
		node = host
	}
	if len(named) > 0 && !slices.Contains(named, node) {
		return "", usage("the files name the nodes %s, and this is %s: say with --node which of them this machine shall be", strings.Join(named, ", "), node)
	}
	name, err := intent.ParseName(node)
	if err != nil {
		return "", usage("--node: %w", err)
	}
	return name, nil
}

// openStore starts the store and returns when it answers. The channel delivers how it ended.
func (l *devEnvironment) openStore(ctx context.Context) (<-chan error, error) {
	address, choose := l.listen, l.listen == ""
	if choose {
		address = "unix:" + store.LocalSocket()
	}
	for {
		ready, served := make(chan string, 1), make(chan error, 1)
		config := embedded.Config{Data: filepath.Join(l.dir, "store"), Listen: address, Options: embedded.Options{Node: string(l.node)}}
		l.config = config
		go func() { served <- embedded.Serve(ctx, config, func(at string) { ready <- at }) }()
		select {
		case l.addr = <-ready:
			l.cmd.warnReachable(l.config)
			return served, l.relaySeeds(ctx)
		case err := <-served:
			if !choose || !errors.Is(err, syscall.EADDRINUSE) {
				return nil, err
			}
			l.cmd.infof("another store answers at %s: this one answers at %s", strings.TrimPrefix(address, "unix:"), l.socket())
			address, choose = "unix:"+l.socket(), false
		}
	}
}

// socket is the address of the store if its default socket is in use, and an additional one for a store on TCP, for an
// agent in its own network namespace.
func (l *devEnvironment) socket() string { return filepath.Join(l.dir, "store.sock") }

// seedSocket is where seeds, sites and blobs are published. Socket paths must be short.
func (l *devEnvironment) seedSocket() string { return filepath.Join(l.dir, "seeds.sock") }

func (l *devEnvironment) relaySeeds(ctx context.Context) error {
	if strings.HasPrefix(l.addr, "unix://") {
		return nil
	}
	_ = os.Remove(l.socket()) // left over from a killed run: the lock on the store's data excludes others
	listener, err := net.Listen("unix", l.socket())
	if err != nil {
		return fmt.Errorf("open a socket beside the store: %w", err)
	}
	if err := os.Chmod(l.socket(), 0o600); err != nil {
		return err
	}
	go crew.Relay(ctx, listener, l.addr)
	return nil
}

// run starts everything, declares the files and waits for a signal.
func (l *devEnvironment) run(ctx context.Context, files intentfile.Files) (err error) {
	if l.cmd.store, err = store.Open(client(l.config, l.addr)); err != nil {
		return err
	}
	if len(files.Entries) > 0 {
		if err := l.declare(ctx, files.Entries); err != nil {
			return err
		}
	}
	started := l.startAgents(ctx)
	l.cmd.infof("platypus dev: store at %s, node %s, everything below %s", l.addr, l.node, l.dir)
	l.cmd.infof("  artifacts go to  %s/APP/APP_VERSION.tar.gz", strings.TrimPrefix(l.repo, "file://"))
	l.cmd.infof("  in another shell  %s", exportLine(l.config, l.addr))
	if started[seedPlacer] {
		l.cmd.infof("                    export PLATYPUS_SEED_SOCKET=%s", l.seedSocket())
	}
	l.cmd.infof("                    platypus apply FILE; platypus status --watch")
	l.cmd.infof("  Ctrl-C ends all of it")
	if l.cmd.flags.Bool("once") {
		return l.waitConverged(ctx, started)
	}
	<-ctx.Done()
	return nil
}

func (l *devEnvironment) declare(ctx context.Context, entries []intentfile.Entry) error {
	now, err := world.Read(ctx, l.cmd.store, l.cmd.tree)
	if err != nil {
		return err
	}
	p, err := l.cmd.planEntries(now, entries)
	if err != nil || len(p.changes) == 0 {
		return err
	}
	p.print(l.cmd)
	_, err = l.cmd.commit(ctx, p.changes, history.Request{Note: history.Note{Message: "platypus dev"}})
	return err
}

// waitConverged waits until the started agents have nothing left to do.
func (l *devEnvironment) waitConverged(ctx context.Context, started map[string]bool) error {
	ctx, cancel := context.WithTimeout(ctx, l.cmd.flags.Duration("timeout"))
	defer cancel()
	for {
		w, err := world.ReadAll(ctx, l.cmd.store, l.cmd.tree)
		if ctx.Err() != nil {
			return exit(exitPending)
		}
		if err != nil {
			return err
		}
		rows, open := w.Rows(), 0
		for _, r := range rows {
			for _, link := range r.Stages {
				if !link.OK() && (link.Agent == "" || started[link.Agent]) {
					open++
				}
			}
		}
		if open == 0 {
			return l.cmd.printStatus(w, statusRows{rows, w.Seeds(), w.Items()})
		}
		pause(ctx, pollInterval)
	}
}
