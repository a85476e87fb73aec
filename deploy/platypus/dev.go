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
		name: "dev", usage: "everything on this machine: a store, the agents, and your intent", args: "[FILE…]", min: 0, max: -1,
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

// laboratory is what dev has set up.
type laboratory struct {
	sh     *shell
	dir    string // absolute
	node   intent.Name
	listen string
	repo   string // where artifacts are
	addr   string // of the store, as CONSUL_HTTP_ADDR takes it
	config embedded.Config
	crew   *crew.Group
}

func dev(ctx context.Context, sh *shell) error {
	runtime.LockOSThread() // children are told to end with the thread that started them: the main one lasts
	files, err := intentfile.Files{}, error(nil)
	if len(sh.args) > 0 {
		if files, err = sh.files(); err != nil {
			return err
		}
	}
	l, err := newLaboratory(sh, files.Entries)
	if err != nil {
		return err
	}
	storing, stopStore := context.WithCancel(context.WithoutCancel(ctx))
	defer stopStore()
	served, err := l.openStore(storing)
	if err != nil {
		return err
	}
	l.crew = crew.New(sh.err, sh.style.colour)
	err = l.work(ctx, files)
	sh.say("platypus dev: ending what was started")
	l.crew.Stop()
	stopStore()
	return errors.Join(err, <-served)
}

func newLaboratory(sh *shell, entries []intentfile.Entry) (*laboratory, error) {
	dir, err := filepath.Abs(sh.flags.String("dir"))
	if err != nil {
		return nil, fmt.Errorf("find --dir: %w", err)
	}
	node, err := sh.thisNode(entries)
	if err != nil {
		return nil, err
	}
	for _, below := range []string{"artifacts", "service", "stage", "state"} {
		if err := os.MkdirAll(filepath.Join(dir, below), 0o755); err != nil {
			return nil, fmt.Errorf("make a place for everything: %w: choose another with --dir", err)
		}
	}
	repo := sh.flags.String("repo")
	if repo == "" {
		repo = "file://" + filepath.Join(dir, "artifacts")
	}
	return &laboratory{sh: sh, dir: dir, node: node, repo: repo, listen: sh.flags.String("listen")}, nil
}

// thisNode is which node this machine shall be: what was said, else the only one that the files speak of, else the host.
func (sh *shell) thisNode(entries []intentfile.Entry) (intent.Name, error) {
	var named []string
	for _, e := range entries {
		if rest, is := strings.CutPrefix(e.Key, "nodes/"); is {
			name, _, _ := strings.Cut(rest, "/")
			named = append(named, name)
		}
	}
	slices.Sort(named)
	named = slices.Compact(named)
	node := sh.flags.String("node")
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

// openStore starts the store and returns when it answers. The channel tells how it ended.
func (l *laboratory) openStore(ctx context.Context) (<-chan error, error) {
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
			l.sh.warnOpen(l.config)
			return served, l.relay(ctx)
		case err := <-served:
			if !choose || !errors.Is(err, syscall.EADDRINUSE) {
				return nil, err
			}
			l.sh.say("another store answers at %s: this one answers at %s", strings.TrimPrefix(address, "unix:"), l.socket())
			address, choose = "unix:"+l.socket(), false
		}
	}
}

// socket is where the store answers when its usual socket is taken, and where one on TCP answers too, for an agent in a
// network namespace of its own.
func (l *laboratory) socket() string { return filepath.Join(l.dir, "store.sock") }

// seedSocket is where seeds, sites and blobs are published. The path of a socket must be short.
func (l *laboratory) seedSocket() string { return filepath.Join(l.dir, "seeds.sock") }

func (l *laboratory) relay(ctx context.Context) error {
	if strings.HasPrefix(l.addr, "unix://") {
		return nil
	}
	_ = os.Remove(l.socket()) // left from a run that was killed: the lock of the store's data keeps others out
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

// work starts everything, declares the files and stays until it is told to end.
func (l *laboratory) work(ctx context.Context, files intentfile.Files) (err error) {
	if l.sh.store, err = store.Open(client(l.config, l.addr)); err != nil {
		return err
	}
	if len(files.Entries) > 0 {
		if err := l.declare(ctx, files.Entries); err != nil {
			return err
		}
	}
	started := l.startAgents(ctx)
	l.sh.say("platypus dev: store at %s, node %s, everything below %s", l.addr, l.node, l.dir)
	l.sh.say("  artifacts go to  %s/APP/APP_VERSION.tar.gz", strings.TrimPrefix(l.repo, "file://"))
	l.sh.say("  in another shell  %s", exports(l.config, l.addr))
	if started[seedPlacer] {
		l.sh.say("                    export PLATYPUS_SEED_SOCKET=%s", l.seedSocket())
	}
	l.sh.say("                    platypus apply FILE; platypus status --watch")
	l.sh.say("  Ctrl-C ends all of it")
	if l.sh.flags.Bool("once") {
		return l.untilConverged(ctx, started)
	}
	<-ctx.Done()
	return nil
}

func (l *laboratory) declare(ctx context.Context, entries []intentfile.Entry) error {
	now, err := world.Read(ctx, l.sh.store, l.sh.tree)
	if err != nil {
		return err
	}
	p, err := l.sh.planEntries(now, entries)
	if err != nil || len(p.changes) == 0 {
		return err
	}
	p.show(l.sh)
	_, err = l.sh.commit(ctx, p.changes, history.Request{Note: history.Note{Message: "platypus dev"}})
	return err
}

// untilConverged waits until the agents that were started have nothing left to do.
func (l *laboratory) untilConverged(ctx context.Context, started map[string]bool) error {
	ctx, cancel := context.WithTimeout(ctx, l.sh.flags.Duration("timeout"))
	defer cancel()
	for {
		w, err := world.ReadAll(ctx, l.sh.store, l.sh.tree)
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
			return l.sh.showStatus(w, overview{rows, w.Seeds(), w.Items()})
		}
		pause(ctx, lookAgain)
	}
}
