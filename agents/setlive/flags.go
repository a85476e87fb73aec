package main

import (
	"context"
	"fmt"
	"os"

	"github.com/urfave/cli/v2"

	"github.com/platypus-platform/platypus/agents/internal/agent"
	"github.com/platypus-platform/platypus/agents/setlive/service"
	"github.com/platypus-platform/platypus/agents/setlive/service/runit"
	"github.com/platypus-platform/platypus/agents/setlive/service/systemd"
	"github.com/platypus-platform/platypus/intent"
)

func flags() []cli.Flag {
	return []cli.Flag{
		&cli.StringFlag{Name: "runit", Usage: "keep services under the runsvdir that scans this `DIR`", EnvVars: agent.Env("runit")},
		&cli.StringFlag{Name: "runit-stage", Usage: "make the service folders of runit in this `DIR`", Value: "/etc/sv", EnvVars: agent.Env("runit-stage")},
		&cli.BoolFlag{Name: "systemd", Usage: "keep services as systemd units (default where systemd runs)", EnvVars: agent.Env("systemd")},
		&cli.StringFlag{Name: "unit-dir", Usage: "write units to this `DIR`", Value: "/etc/systemd/system", EnvVars: agent.Env("unit-dir")},
		&cli.StringFlag{Name: "services", Usage: "keep what units run in this `DIR`", Value: "/var/lib/platypus/services", EnvVars: agent.Env("services")},
		&cli.BoolFlag{Name: "require-run-as", Usage: "start no app as root: one without run_as is not started", EnvVars: agent.Env("require-run-as")},
		&cli.StringFlag{Name: "config", Usage: "also write <app>.yaml for servicebuilder to this `DIR`", EnvVars: agent.Env("config")},
	}
}

// supervisor returns the one that the flags name.
func supervisor(c *cli.Context) (s service.Supervisor, err error) {
	dir, units := c.String("runit"), c.Bool("systemd")
	if dir != "" && units {
		return nil, agent.Usage("--runit and --systemd exclude each other")
	}
	if dir == "" && !units {
		if units, err = booted(); err != nil {
			return nil, fmt.Errorf("find out what supervises this machine: %w", err)
		}
		dir = "/etc/service"
	}
	if units {
		s, err = systemd.New(c.String("unit-dir"), c.String("services"))
	} else {
		s, err = runit.New(dir, c.String("runit-stage"))
	}
	if err == nil && c.String("config") != "" {
		s = servicebuilder{s, c.String("config")}
	}
	return s, err
}

// booted reports whether systemd runs this machine. Its error is [service.ErrUnseen].
func booted() (bool, error) {
	for _, sign := range []string{"/run/systemd/system", "/run/systemd/private"} {
		_, err := os.Stat(sign)
		if there, err := service.There(err); !there {
			return false, err
		}
	}
	return true, nil
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

// nodeOf is the node that an app's service was written for, "" when that was not recorded.
func nodeOf(a Actual, app string) intent.Name { return intent.Name(a[app].Service.Node) }

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
