package agent

import (
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/urfave/cli/v2"

	"github.com/platypus-platform/platypus/intent"
	"github.com/platypus-platform/platypus/store"
)

// commonFlags are those that every agent has. Consul's own environment variables hold where a flag is silent.
func commonFlags(name string) []cli.Flag {
	return append([]cli.Flag{
		&cli.StringFlag{Name: "node", Usage: "name of this node in the store (default: the host's name)", EnvVars: env("node")},
		&cli.StringFlag{Name: "root", Usage: "root of the tree in the store; empty: the layout of 2014", Value: intent.DefaultRoot, EnvVars: env("root")},
		&cli.BoolFlag{Name: "once", Usage: "converge once and exit: 0 done, 1 something failed, 2 store out of reach", EnvVars: env("once")},
		&cli.BoolFlag{Name: "dry-run", Usage: "print what would be done and exit: 0 nothing, 2 something", EnvVars: env("dry-run")},
		&cli.DurationFlag{Name: "resync", Usage: "look at the host at least this often", Value: 30 * time.Second, EnvVars: env("resync")},
		&cli.StringFlag{Name: "state-dir", Usage: "directory for what may be lost", Value: stateDir(name), EnvVars: env("state-dir")},
		&cli.StringFlag{Name: "listen", Usage: "serve /healthz /readyz /metrics at unix:PATH or HOST:PORT", EnvVars: env("listen")},
		&cli.StringFlag{Name: "log-level", Usage: "debug, info, warn or error", Value: "info", EnvVars: env("log-level")},
		&cli.StringFlag{Name: "log-format", Usage: "text or json", Value: "text", EnvVars: env("log-format")},
	}, storeFlags()...)
}

func storeFlags() []cli.Flag {
	return []cli.Flag{
		&cli.StringFlag{Name: "http-addr", EnvVars: env("http-addr"),
			Usage: "address of the store (CONSUL_HTTP_ADDR; default: the socket of platypus store, else 127.0.0.1:8500)"},
		&cli.StringFlag{Name: "token-file", Usage: "file with the store's token, read again on HUP (CONSUL_HTTP_TOKEN_FILE)", EnvVars: env("token-file")},
		&cli.StringFlag{Name: "ca-file", Usage: "certificate of the store's authority (CONSUL_CACERT)", EnvVars: env("ca-file")},
		&cli.StringFlag{Name: "client-cert", Usage: "client certificate (CONSUL_CLIENT_CERT)", EnvVars: env("client-cert")},
		&cli.StringFlag{Name: "client-key", Usage: "its key (CONSUL_CLIENT_KEY)", EnvVars: env("client-key")},
		&cli.StringFlag{Name: "namespace", Usage: "namespace in the store (CONSUL_NAMESPACE)", EnvVars: env("namespace")},
		&cli.StringFlag{Name: "partition", Usage: "partition in the store (CONSUL_PARTITION)", EnvVars: env("partition")},
	}
}

// env returns the environment variable of a flag: PLATYPUS_STATE_DIR for state-dir.
func env(flag string) []string {
	return []string{"PLATYPUS_" + strings.ToUpper(strings.ReplaceAll(flag, "-", "_"))}
}

// Env returns the environment variable that stands for a program's own flag.
func Env(flag string) []string { return env(flag) }

// stateDir is where an agent keeps its caches unless told otherwise.
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

// open reads the common flags.
func open(c *cli.Context, name string) (*Agent, error) {
	if c.NArg() > 0 {
		return nil, Usage("unexpected argument %q: everything is given by flags", c.Args().First())
	}
	log, err := newLog(os.Stderr, c.String("log-level"), c.String("log-format"))
	if err != nil {
		return nil, err
	}
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
