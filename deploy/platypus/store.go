package main

import (
	"context"
	"os"
	"os/signal"
	"path/filepath"
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
		name: "store", usage: "serve the store of one machine, where there is no Consul", max: 0,
		text: `Answers Consul's HTTP API for the KV, transactions, sessions and services of this one machine, out of memory and a
durable log in --data. Agents, the consul command line and curl use it unchanged. There are no access rules: whoever
reaches the address may do everything, so keep it on the loopback address or on a socket.`,
		examples: []string{"platypus store", "platypus store --data /var/lib/platypus/store --listen unix:/run/platypus/store.sock"},
		flags: []cli.Flag{
			&cli.StringFlag{Name: "data", Usage: "`DIR` for the log", Value: filepath.Join(stateHome(), "store"), EnvVars: []string{"PLATYPUS_STORE_DATA"}},
			&cli.StringFlag{Name: "listen", Usage: "`ADDR` to answer at: host:port or unix:PATH", Value: "127.0.0.1:8500", EnvVars: []string{"PLATYPUS_STORE_LISTEN"}},
			&cli.StringFlag{Name: "node", Usage: "name of this `NODE` in sessions and services (default: the host's name)", EnvVars: []string{"PLATYPUS_NODE"}},
		},
		run: serveStore,
	}
}

func serveStore(ctx context.Context, sh *shell) error {
	// There is nothing to read again, and HUP must not end a store.
	signal.Ignore(syscall.SIGHUP)
	config := embedded.Config{Data: sh.flags.String("data"), Listen: sh.flags.String("listen")}
	config.Options.Node = sh.flags.String("node")
	if err := os.MkdirAll(config.Data, 0o700); err != nil {
		return err
	}
	return embedded.Serve(ctx, config, func(address string) {
		sh.say("the store answers at %s, its data lies in %s; next: export CONSUL_HTTP_ADDR=%s", address, config.Data, address)
		_, _ = daemon.SdNotify(false, daemon.SdNotifyReady)
		go watchdog(ctx, address)
	})
}

// watchdog tells systemd that the store is well for as long as it answers, when systemd asked for that.
func watchdog(ctx context.Context, address string) {
	every, err := daemon.SdWatchdogEnabled(false)
	if err != nil || every == 0 {
		return
	}
	s, err := store.Open(store.Config{Address: address})
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
