package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"io/fs"
	"strings"
	"sync"

	"github.com/urfave/cli/v2"

	"github.com/platypus-platform/platypus/deploy/platypus/internal/flagline"
	"github.com/platypus-platform/platypus/intent"
	"github.com/platypus-platform/platypus/store"
	"github.com/platypus-platform/platypus/store/history"
)

// Version is the version of the program. The build sets it.
var Version = "dev"

// The exit codes.
const (
	exitError   = 1
	exitPending = 2 // changes pending, not converged, not live in time
	exitUsage   = 64

	// Exit codes of rollout and rollback with --wait, in addition to 0, 1 and 2.
	exitFailed     = 3 // a node rejected the version, or cannot install it
	exitSuperseded = 4 // another version was activated meanwhile
	exitCancelled  = 5 // the program received a signal
	exitStoreLost  = 6 // the store stopped answering
)

// stdio holds the streams of a run.
type stdio struct {
	in          io.Reader
	out, errOut io.Writer
}

// exit ends a run with a code and without a message.
type exit int

func (e exit) Error() string { return fmt.Sprintf("exit %d", int(e)) }

// usageError is a mistake on the command line.
type usageError struct{ error }

func (e usageError) Unwrap() error { return e.error }

func usage(format string, args ...any) error { return usageError{fmt.Errorf(format, args...)} }

// run runs the program; args begins with its name.
func run(ctx context.Context, args []string, io stdio) int {
	if last := len(args) - 1; args[last] == "--generate-bash-completion" {
		complete(io, args[1:last])
		return 0
	}
	app := newApp(io)
	arranged, err := flagline.Arrange(app, args)
	if err != nil {
		return finish(io, usageError{foreignVerbHint(err)})
	}
	err = app.RunContext(ctx, arranged)
	if errors.Is(err, flag.ErrHelp) { // --help without a verb
		_ = cli.ShowAppHelp(cli.NewContext(app, nil, nil))
		return 0
	}
	return finish(io, err)
}

func finish(io stdio, err error) int {
	var code exit
	var usageErr usageError
	switch {
	case err == nil:
		return 0
	case errors.As(err, &code):
		return int(code)
	}
	s := style{colour: useColour(io.errOut)}
	fmt.Fprintf(io.errOut, "%s %v\n", s.red("platypus:"), err)
	printPosition(io.errOut, err)
	if hint := nextStep(err); hint != "" {
		fmt.Fprintln(io.errOut, hint)
	}
	if errors.As(err, &usageErr) {
		if !strings.Contains(err.Error(), "platypus ") { // else the message already names the next step
			fmt.Fprintf(io.errOut, "run platypus help for the verbs, platypus VERB --help for one of them\n")
		}
		return exitUsage
	}
	return exitError
}

// nextStep returns the next step after an error of the store.
func nextStep(err error) string {
	switch {
	case errors.Is(err, store.ErrDenied):
		return "next: platypus doctor shows what the token may do; platypus acl prints the policy that is needed"
	case errors.Is(err, store.ErrUnreachable) && errors.Is(err, fs.ErrPermission):
		return "next: use sudo, or add yourself to the group platypus: the socket of this host's store is for root and that group"
	case errors.Is(err, store.ErrUnreachable):
		return "next: is the store running (platypus store starts one), and is CONSUL_HTTP_ADDR or --http-addr right? platypus doctor looks closer"
	case errors.Is(err, store.ErrConflict), errors.Is(err, history.ErrChanged):
		return "next: somebody else wrote first and nothing of yours was written: look at platypus plan FILE, then apply again"
	}
	return historyNextStep(err)
}

// prepareLibrary sets the process-wide hooks of the CLI library: how --version is answered, and copies of the --version
// and --help flags for each run.
var prepareLibrary = sync.OnceFunc(func() {
	cli.VersionPrinter = func(c *cli.Context) { fmt.Fprintln(c.App.Writer, "platypus", Version) }
	for _, shared := range []*cli.Flag{&cli.HelpFlag, &cli.VersionFlag} {
		if f, is := (*shared).(*cli.BoolFlag); is {
			*shared = copiedFlag{f}
		}
	}
})

// copiedFlag is a flag that keeps no state of its own, because runs may be concurrent.
type copiedFlag struct{ *cli.BoolFlag }

// Apply implements cli.Flag.
func (f copiedFlag) Apply(set *flag.FlagSet) error {
	copied := *f.BoolFlag
	return copied.Apply(set)
}

func newApp(io stdio) *cli.App {
	prepareLibrary()
	app := &cli.App{
		Name: "platypus", Usage: "declare what runs where, and see what became of it", Version: Version,
		Reader: io.in, Writer: io.out, ErrWriter: io.errOut,
		Flags:                 globalFlags(),
		CustomAppHelpTemplate: appHelp(),
		OnUsageError:          func(_ *cli.Context, err error, _ bool) error { return usageError{err} },
		ExitErrHandler:        func(*cli.Context, error) {},
		Action: func(c *cli.Context) error {
			_ = cli.ShowAppHelp(c)
			return exit(exitUsage)
		},
	}
	for _, v := range verbs() {
		app.Commands = append(app.Commands, v.command())
	}
	app.Commands = append(app.Commands, helpCommand())
	return app
}

// verb describes one subcommand of the program.
type verb struct {
	name             string
	usage            string // one line
	args             string // such as "FILE…"
	text             string // the manual
	examples         []string
	flags            []cli.Flag
	minArgs, maxArgs int // number of arguments; maxArgs -1: no limit
	run              func(context.Context, *command) error
}

func (v verb) command() *cli.Command {
	return &cli.Command{
		Name: v.name, Usage: v.usage, ArgsUsage: strings.TrimSuffix(" "+v.args, " "), Flags: v.flags,
		Description:        v.text + "\n\nExamples:\n  " + strings.Join(v.examples, "\n  "),
		CustomHelpTemplate: verbHelp, HideHelpCommand: true,
		OnUsageError: func(_ *cli.Context, err error, _ bool) error { return usageError{err} },
		Action: func(c *cli.Context) error {
			if n := c.NArg(); n < v.minArgs || v.maxArgs >= 0 && n > v.maxArgs {
				return usage("%s takes %s, not %s: platypus %s %s", v.name, v.args, plural(n, "argument"), v.name, v.args)
			}
			cmd, err := newCommand(c)
			if err != nil {
				return err
			}
			return cmd.finishDryRun(v.run(c.Context, cmd))
		},
	}
}

func globalFlags() []cli.Flag {
	flag := func(name, usage string, value ...string) cli.Flag {
		f := &cli.StringFlag{Name: name, Usage: usage, EnvVars: []string{"PLATYPUS_" + strings.ToUpper(strings.ReplaceAll(name, "-", "_"))}}
		f.Value = strings.Join(value, "")
		return f
	}
	return []cli.Flag{
		flag("http-addr", "address of the store (CONSUL_HTTP_ADDR; default: the socket of platypus store, else 127.0.0.1:8500)"),
		flag("token-file", "file with the store's token (CONSUL_HTTP_TOKEN_FILE)"),
		flag("ca-file", "certificate of the store's authority (CONSUL_CACERT)"),
		flag("client-cert", "client certificate (CONSUL_CLIENT_CERT)"),
		flag("client-key", "its key (CONSUL_CLIENT_KEY)"),
		flag("namespace", "namespace in the store (CONSUL_NAMESPACE)"),
		flag("partition", "partition in the store (CONSUL_PARTITION)"),
		flag("root", "root of the tree in the store; empty: the layout of 2014", intent.DefaultRoot),
	}
}

// outputFlag is the flag of every verb that prints data.
func outputFlag() cli.Flag {
	return &cli.StringFlag{Name: "output", Aliases: []string{"o"}, Usage: "table or json", Value: "table", EnvVars: []string{"PLATYPUS_OUTPUT"}}
}

// boolFlag is a flag without a value.
func boolFlag(name, usage string, short ...string) cli.Flag {
	return &cli.BoolFlag{Name: name, Aliases: short, Usage: usage, DisableDefaultText: true}
}
