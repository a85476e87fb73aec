package main

import (
	"context"
	"os"

	"github.com/urfave/cli/v2"

	"github.com/platypus-platform/platypus/agents/internal/agent"
	"github.com/platypus-platform/platypus/agents/setlive/service"
	"github.com/platypus-platform/platypus/agents/setlive/service/runit"
	"github.com/platypus-platform/platypus/agents/setlive/service/systemd"
)

func flags() []cli.Flag {
	return []cli.Flag{
		&cli.StringFlag{Name: "runit", Usage: "keep services under the runsvdir that scans this `DIR`", EnvVars: agent.Env("runit")},
		&cli.StringFlag{Name: "runit-stage", Usage: "make the service folders of runit in this `DIR`", Value: "/etc/sv", EnvVars: agent.Env("runit-stage")},
		&cli.BoolFlag{Name: "systemd", Usage: "keep services as systemd units (default where systemd runs)", EnvVars: agent.Env("systemd")},
		&cli.StringFlag{Name: "unit-dir", Usage: "write units to this `DIR`", Value: "/etc/systemd/system", EnvVars: agent.Env("unit-dir")},
		&cli.StringFlag{Name: "services", Usage: "keep what units run in this `DIR`", Value: "/var/lib/platypus/services", EnvVars: agent.Env("services")},
		&cli.StringFlag{Name: "config", Usage: "also write <app>.yaml for servicebuilder to this `DIR`", EnvVars: agent.Env("config")},
	}
}

// supervisor returns the one that the flags name.
func supervisor(c *cli.Context) (s service.Supervisor, err error) {
	switch {
	case c.String("runit") != "" && c.Bool("systemd"):
		return nil, agent.Usage("--runit and --systemd exclude each other")
	case c.String("runit") != "":
		s, err = runit.New(c.String("runit"), c.String("runit-stage"))
	case c.Bool("systemd") || booted():
		s, err = systemd.New(c.String("unit-dir"), c.String("services"))
	default:
		s, err = runit.New("/etc/service", c.String("runit-stage"))
	}
	if err == nil && c.String("config") != "" {
		s = servicebuilder{s, c.String("config")}
	}
	return s, err
}

// booted reports whether systemd runs this machine.
func booted() bool {
	_, err := os.Stat("/run/systemd/system")
	_, errPrivate := os.Stat("/run/systemd/private")
	return err == nil && errPrivate == nil
}

// owned lists the apps that setlive has written a service for.
func owned(a Actual) (apps []string) {
	for name, app := range a {
		if app.owned() {
			apps = append(apps, name)
		}
	}
	return apps
}

// wake carries a value when an observation changed by itself.
func (h *host) wake(ctx context.Context) <-chan struct{} {
	out := make(chan struct{}, 1)
	go func() {
		for {
			select {
			case <-h.watch.Wake():
			case <-h.peers.Wake():
			case <-h.catalog.Wake():
			case <-h.arrivals.Wake():
			case <-ctx.Done():
				h.watch.Close()
				h.peers.Close()
				return
			}
			select {
			case out <- struct{}{}:
			default:
			}
		}
	}()
	return out
}
