package main

import (
	"context"
	"net"
	"os/signal"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"github.com/coreos/go-systemd/v22/daemon"
	"github.com/urfave/cli/v2"

	"github.com/platypus-platform/platypus/intent"
	"github.com/platypus-platform/platypus/store"
	"github.com/platypus-platform/platypus/store/embedded"
)

func storeVerb() verb {
	return verb{
		name: "store", usage: "serve the store of one machine, where there is no Consul", maxArgs: 0,
		text: `Answers Consul's HTTP API for the KV, transactions, sessions and services of this one machine, out of memory and a
durable log in --data. It listens at a unix socket, which our programs find by themselves, for its own user and, when
root serves it, for the group platypus; whoever may connect may do everything. The consul command line takes
CONSUL_HTTP_ADDR=unix:///run/platypus/store/store.sock, and curl takes
--unix-socket /run/platypus/store/store.sock http://localhost/v1/kv/?keys.
With --listen HOST:PORT it listens on TCP instead. Then every request but /v1/status/ needs the token that lies in the
file token in --data (CONSUL_HTTP_TOKEN_FILE), must name this machine in Host, and must not come from a page of another
site. TCP is not encrypted: keep it on a loopback address.`,
		examples: []string{"platypus store", "platypus store --data /tmp/store --listen 127.0.0.1:8500"},
		flags: []cli.Flag{
			&cli.StringFlag{Name: "data", Usage: "`DIR` for the log", Value: filepath.Join(stateHome(), "store"), EnvVars: []string{"PLATYPUS_STORE_DATA"}},
			&cli.StringFlag{Name: "listen", Usage: "`ADDR` to answer at: unix:PATH or host:port",
				Value: "unix:" + store.LocalSocket(), EnvVars: []string{"PLATYPUS_STORE_LISTEN"}},
			boolFlag("no-token", "over TCP answer everybody, without a token: for tests only"),
			&cli.StringFlag{Name: "node", Usage: "name of this `NODE` in sessions and services (default: the host's name)", EnvVars: []string{"PLATYPUS_NODE"}},
		},
		run: serveStore,
	}
}

func serveStore(ctx context.Context, cmd *command) error {
	// There is no configuration to reload, and HUP must not end the store.
	signal.Ignore(syscall.SIGHUP)
	config := embedded.Config{Data: cmd.flags.String("data"), Listen: cmd.flags.String("listen")}
	config.NoToken = cmd.flags.Bool("no-token")
	config.Options.Node = cmd.flags.String("node")
	return embedded.Serve(ctx, config, func(address string) {
		cmd.infof("the store answers at %s, its data lies in %s; next: %s", address, config.Data, exportLine(config, address))
		cmd.warnReachable(config)
		_, _ = daemon.SdNotify(false, daemon.SdNotifyReady)
		go watchdog(ctx, client(config, address))
	})
}

// tokenFile returns the token file that clients of a store need; "" for none.
func tokenFile(config embedded.Config) string {
	if config.NoToken || strings.HasPrefix(config.Listen, "unix:") {
		return ""
	}
	path, err := filepath.Abs(embedded.TokenFile(config.Data))
	if err != nil {
		return embedded.TokenFile(config.Data)
	}
	return path
}

func client(config embedded.Config, address string) store.Config {
	return store.Config{Address: address, TokenFile: tokenFile(config)}
}

// exportLine returns the shell line that selects a store.
func exportLine(config embedded.Config, address string) string {
	line := "export CONSUL_HTTP_ADDR=" + address
	if file := tokenFile(config); file != "" {
		line += " CONSUL_HTTP_TOKEN_FILE=" + file
	}
	return line
}

// warnReachable warns of an address that other users can reach.
func (cmd *command) warnReachable(config embedded.Config) {
	host, _, err := net.SplitHostPort(config.Listen)
	if err != nil || strings.HasPrefix(config.Listen, "unix:") {
		return
	}
	if !embedded.Loopback(host) {
		cmd.infof("warning: %s is not a loopback address, and tokens and values travel in the clear: "+
			"put TLS before it, or leave out --listen", config.Listen)
	}
	if config.NoToken {
		cmd.infof("warning: whoever reaches %s may write what root runs: leave out --no-token", config.Listen)
	}
}

// watchdog notifies systemd for as long as the store answers, if systemd requests it.
func watchdog(ctx context.Context, config store.Config) {
	every, err := daemon.SdWatchdogEnabled(false)
	if err != nil || every == 0 {
		return
	}
	s, err := store.Open(config)
	if err != nil {
		return
	}
	for ctx.Err() == nil {
		if _, _, err := s.Get(ctx, intent.DefaultRoot+"doctor", store.Consistent); err == nil {
			_, _ = daemon.SdNotify(false, daemon.SdNotifyWatchdog)
		}
		pause(ctx, every/3)
	}
}

// pause waits for d or the end of ctx.
func pause(ctx context.Context, d time.Duration) {
	select {
	case <-time.After(d):
	case <-ctx.Done():
	}
}
