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

// Onlooker is a program that watches the store and shows it. It brings nothing about and writes nothing, neither a report
// nor a sign of life, so that a token that can only read is enough for it.
type Onlooker struct {
	Name   string // of the binary and of its state directory
	Usage  string // one line
	Text   string // the manual below it
	Listen string // where its page is, unless told otherwise
	// Examples are command lines for --help.
	Examples []string
	Flags    []cli.Flag
	Open     func(c *cli.Context, a *Agent) (Sight, error)
}

// Sight is what an onlooker shows.
type Sight interface {
	// Print writes what there is to see at this moment.
	Print(ctx context.Context, w io.Writer) error
	// Watch follows the store until ctx ends. Heard is told how each read went; seen is called, from one goroutine, for
	// each state that is shown and at least every minute once there is one.
	Watch(ctx context.Context, heard func(intent.Prefix, error), seen func())
	// ServeHTTP is its page, which stands beside /healthz, /readyz and /metrics.
	http.Handler
}

// Main runs the program and ends the process.
func (o Onlooker) Main() { os.Exit(o.Run(os.Args)) }

// Run runs the program with args, whose first is its name, and returns its exit code.
func (o Onlooker) Run(args []string) int {
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

func (o Onlooker) run(ctx context.Context, c *cli.Context) (int, error) {
	a, err := open(c, o.Name)
	if err != nil {
		return ExitUsage, err
	}
	defer a.Log.flush()
	sight, err := o.Open(c, a)
	switch {
	case err != nil:
		return ExitFailed, err
	case a.DryRun:
		return 0, sight.Print(ctx, io.Discard)
	case a.Once:
		return 0, sight.Print(ctx, os.Stdout)
	}
	lock, err := lockDir(a.StateDir, o.Name)
	if err != nil {
		return ExitFailed, err
	}
	defer lock.Close()
	return 0, a.look(ctx, c.String("listen"), sight)
}

// look shows what there is to see until ctx ends.
func (a *Agent) look(ctx context.Context, listen string, sight Sight) error {
	up := newUpstream(a.Log)
	m := newMeters(a, up)
	m.page = sight
	if err := m.serve(ctx, listen); err != nil {
		return err
	}
	a.Log.Info("", fmt.Sprintf("showing %s at %s", a.Store.Address(), listen))
	pulse := &pulse{start: time.Now(), stuck: stuck}
	reload := make(chan struct{}, 1)
	var side sync.WaitGroup
	side.Go(func() { a.reloadOnHUP(ctx, reload) })
	side.Go(func() { pulse.run(ctx, up) })
	seen := func() {
		pulse.beat()
		m.pass(converge.Pass{})
	}
	sight.Watch(ctx, up.heard, seen)
	_, _ = daemon.SdNotify(false, daemon.SdNotifyStopping)
	a.Log.Info("", "stopped")
	side.Wait()
	return nil
}
