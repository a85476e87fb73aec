package agent

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"os"
	"sync"
	"time"

	"github.com/coreos/go-systemd/v22/daemon"
	"github.com/urfave/cli/v2"

	"github.com/platypus-platform/platypus/agents/converge"
	"github.com/platypus-platform/platypus/intent"
)

// Viewer is a program that watches the store and shows it. It writes nothing, neither a report nor an alive key, so a
// read-only token is enough.
type Viewer struct {
	Name   string // of the binary and of its state directory
	Usage  string // one line
	Text   string // the manual below it
	Listen string // the default of --listen
	// Examples are command lines for --help.
	Examples []string
	Flags    []cli.Flag
	Open     func(c *cli.Context, a *Agent) (View, error)
}

// View is what a [Viewer] shows.
type View interface {
	// Print writes the current state.
	Print(ctx context.Context, w io.Writer) error
	// Watch follows the store until ctx ends. heard receives the result of each read; seen is called, from one
	// goroutine, for each state that is shown, and at least every minute after the first.
	Watch(ctx context.Context, heard func(intent.Prefix, error), seen func())
	// Handler serves its page, beside /healthz, /readyz and /metrics.
	http.Handler
}

// Main runs the program and ends the process.
func (o Viewer) Main() { os.Exit(o.Run(os.Args)) }

// Run runs the program with args, whose first is its name, and returns its exit code.
func (o Viewer) Run(args []string) int {
	flags := commonFlags(o.Name)
	for _, f := range flags {
		switch f := f.(type) {
		case *cli.StringFlag:
			if f.Name == "listen" {
				f.Usage, f.Value = "serve the page, /healthz, /readyz and /metrics at `ADDRESS`: unix:PATH or HOST:PORT", o.Listen
			}
		case *cli.BoolFlag:
			f.Usage = map[string]string{"once": "print the page as it is now and exit: 0 printed, 2 no store",
				"dry-run": "read the store once and exit: 0 read, 2 no store"}[f.Name]
		case *cli.DurationFlag:
			f.Usage = "has no effect here: every change is shown as it happens"
		}
	}
	m := manual{name: o.Name, usage: o.Usage, text: o.Text, examples: o.Examples, own: o.Flags, common: flags,
		exits: "0 done, 1 something failed, 2 no store, 64 mistake on the command line, 75 another copy runs with the same --state-dir"}
	return runApp(m, args, func(c *cli.Context) (int, error) { return o.run(c.Context, c) })
}

func (o Viewer) run(ctx context.Context, c *cli.Context) (int, error) {
	a, err := open(c, o.Name)
	if err != nil {
		return ExitUsage, err
	}
	defer a.Log.flush()
	view, err := o.Open(c, a)
	switch {
	case err != nil:
		return ExitFailed, err
	case a.DryRun:
		return 0, view.Print(ctx, io.Discard)
	case a.Once:
		return 0, view.Print(ctx, os.Stdout)
	}
	lock, err := lockDir(a.StateDir, o.Name)
	if err != nil {
		return ExitFailed, err
	}
	defer lock.Close()
	return 0, a.runViewer(ctx, c.String("listen"), view)
}

// runViewer serves the view until ctx ends.
func (a *Agent) runViewer(ctx context.Context, listen string, view View) error {
	health := newStoreHealth(a.Log)
	m := newMetrics(a, health)
	m.page = view
	if err := m.serve(ctx, listen); err != nil {
		return err
	}
	a.Log.Info("", fmt.Sprintf("showing %s at %s", a.Store.Address(), listen))
	watchdog := &watchdog{start: time.Now(), timeout: watchdogTimeout}
	reload := make(chan struct{}, 1)
	var background sync.WaitGroup
	background.Go(func() { a.reloadOnHUP(ctx, reload) })
	background.Go(func() { watchdog.run(ctx, health) })
	seen := func() {
		watchdog.beat()
		m.pass(converge.Pass{})
	}
	view.Watch(ctx, health.record, seen)
	_, _ = daemon.SdNotify(false, daemon.SdNotifyStopping)
	a.Log.Info("", "stopped")
	background.Wait()
	return nil
}
