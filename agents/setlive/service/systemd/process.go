package systemd

import (
	"context"
	"errors"
	"fmt"
	"syscall"
	"time"

	"github.com/coreos/go-systemd/v22/dbus"

	"github.com/platypus-platform/platypus/agents/setlive/service"
)

// signals are those that a process may be sent.
var signals = map[string]syscall.Signal{"HUP": syscall.SIGHUP, "USR1": syscall.SIGUSR1, "USR2": syscall.SIGUSR2}

// Tell implements [service.Runner].
func (s *Systemd) Tell(ctx context.Context, app, signal, settings string) error {
	u, err := s.unit(ctx, app)
	if err != nil {
		return fmt.Errorf("tell %s: %w", app, err)
	}
	p, err := s.home(app).Process(u.pid)
	if err != nil {
		return fmt.Errorf("tell %s: %w", app, err)
	}
	number, known := signals[signal]
	if !known || p.Settings == "" {
		return fmt.Errorf("tell %s %s: %w", app, signal, service.ErrUntold)
	}
	err = s.call(ctx, "send signal", func(c *dbus.Conn) error {
		return c.KillUnitWithTarget(ctx, unitName(app), dbus.Main, int32(number))
	})
	if err != nil {
		return fmt.Errorf("tell %s %s: %w", app, signal, err)
	}
	return s.home(app).Informed(p, settings)
}

// kill ends what did not end by itself, all of it.
func (s *Systemd) kill(ctx context.Context, app string) error {
	ctx = context.WithoutCancel(ctx)
	err := s.call(ctx, "kill unit", func(c *dbus.Conn) error {
		return c.KillUnitWithTarget(ctx, unitName(app), dbus.All, int32(syscall.SIGKILL))
	})
	if err != nil {
		return err
	}
	err = s.watch(ctx, app, service.KillWait, func(u unit) (bool, error) { return u.down(), nil })
	if errors.Is(err, errTooLong) {
		return fmt.Errorf("a process survived KILL for %s", service.KillWait)
	}
	return err
}

// callOff starts a service again whose stop is given up: systemd does that as soon as it has ended.
func (s *Systemd) callOff(ctx context.Context, app string) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), time.Second)
	defer cancel()
	return s.call(ctx, "start unit", func(c *dbus.Conn) error {
		_, err := c.StartUnitContext(ctx, unitName(app), "replace", nil)
		return err
	})
}

// ended forgets a process once it has ended. Systemd calls a unit failed, and down, whose process survives KILL.
func (s *Systemd) ended(ctx context.Context, app string) error {
	home := s.home(app)
	for end := time.Now().Add(service.KillWait); ; {
		pid, lingers, err := home.Lingers()
		if err == nil && !lingers {
			return home.Forget()
		}
		if !time.Now().Before(end) || ctx.Err() != nil {
			if err != nil {
				return err
			}
			return fmt.Errorf("process %d survived KILL for %s", pid, service.KillWait)
		}
		time.Sleep(service.PollInterval)
	}
}
