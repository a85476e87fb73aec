package agent

import (
	"io"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/urfave/cli/v2"

	"github.com/platypus-platform/platypus/intent"
	"github.com/platypus-platform/platypus/store"
)

// commonFlags are the flags of every agent. Consul's environment variables apply where a flag is not set.
func commonFlags(name string) []cli.Flag {
	return append([]cli.Flag{
		textFlag("node", "", "`NAME` of this node in the store (default: this host's name)"),
		textFlag("root", intent.DefaultRoot, "`PREFIX` of all keys in the store; empty for the layout of 2014"),
		boolFlag("once", "do what has to be done now and exit: 0 done, 1 something failed, 2 no store"),
		boolFlag("dry-run", "print what would be done, change nothing and exit: 0 nothing to do, 2 something"),
		&cli.DurationFlag{
			Name: "resync", Usage: "check the host at least this often", Value: 30 * time.Second, EnvVars: env("resync"),
		},
		textFlag("state-dir", stateDir(name), "`DIR` for caches, which may be deleted while the agent is stopped"),
		textFlag("listen", "", "serve /healthz, /readyz and /metrics at `ADDRESS`: unix:PATH or HOST:PORT"),
		textFlag("log-level", "info", "log this `LEVEL` and above: debug, info, warn or error"),
		textFlag("log-format", "text", "`FORMAT` of the log: text or json"),
	}, storeFlags()...)
}

func storeFlags() []cli.Flag {
	return []cli.Flag{
		textFlag("http-addr", "", "`ADDRESS` of the store (CONSUL_HTTP_ADDR; default: the socket of platypus store, else 127.0.0.1:8500)"),
		textFlag("token-file", "", "`FILE` with the token for the store, read again on HUP (CONSUL_HTTP_TOKEN_FILE)"),
		textFlag("ca-file", "", "`FILE` with the certificate authority of the store (CONSUL_CACERT)"),
		textFlag("client-cert", "", "`FILE` with the client certificate for the store (CONSUL_CLIENT_CERT)"),
		textFlag("client-key", "", "`FILE` with the key of that certificate (CONSUL_CLIENT_KEY)"),
		textFlag("namespace", "", "namespace in the store, with Consul Enterprise (CONSUL_NAMESPACE)"),
		textFlag("partition", "", "partition in the store, with Consul Enterprise (CONSUL_PARTITION)"),
	}
}

// textFlag is a string flag; the backquoted part of its usage is the placeholder in the help.
func textFlag(name, value, usage string) *cli.StringFlag {
	return &cli.StringFlag{Name: name, Value: value, Usage: usage, EnvVars: env(name)}
}

func boolFlag(name, usage string) *cli.BoolFlag {
	return &cli.BoolFlag{Name: name, Usage: usage, EnvVars: env(name)}
}

// env returns the environment variable of a flag: PLATYPUS_STATE_DIR for state-dir.
func env(flag string) []string {
	return []string{"PLATYPUS_" + strings.ToUpper(strings.ReplaceAll(flag, "-", "_"))}
}

// Env returns the environment variables of a program's own flag.
func Env(flag string) []string { return env(flag) }

// stateDir is the default of --state-dir.
func stateDir(name string) string {
	if os.Geteuid() == 0 {
		return filepath.Join("/var/lib/platypus", name)
	}
	if dir := os.Getenv("XDG_STATE_HOME"); dir != "" {
		return filepath.Join(dir, "platypus", name)
	}
	home, err := os.UserHomeDir()
	if err != nil {
		home = os.TempDir()
	}
	return filepath.Join(home, ".local/state/platypus", name)
}

// open makes an Agent from the common flags.
func open(c *cli.Context, name string) (*Agent, error) {
	if c.NArg() > 0 {
		return nil, Usage("unexpected argument %q: everything is given by flags", c.Args().First())
	}
	log, err := newLog(io.Discard, c.String("log-level"), c.String("log-format"))
	if err != nil {
		return nil, err
	}
	log.setQueuedOutput(os.Stderr)
	host := c.String("node")
	if host == "" {
		if host, err = os.Hostname(); err != nil {
			return nil, Usage("name of this host: %w: give --node", err)
		}
	}
	node, err := intent.ParseName(host)
	if err != nil {
		return nil, Usage("--node: %w", err)
	}
	tree, err := intent.ParseRoot(c.String("root"))
	if err != nil {
		return nil, Usage("--root: %w", err)
	}
	s, err := store.Open(store.Config{
		Address: c.String("http-addr"), TokenFile: c.String("token-file"), CAFile: c.String("ca-file"),
		CertFile: c.String("client-cert"), KeyFile: c.String("client-key"),
		Namespace: c.String("namespace"), Partition: c.String("partition"),
	})
	if err != nil {
		return nil, Usage("%w", err)
	}
	return &Agent{
		Name: name, Node: node, Tree: tree, Store: s, StateDir: c.String("state-dir"),
		DryRun: c.Bool("dry-run"), Once: c.Bool("once"), Log: log,
	}, nil
}
