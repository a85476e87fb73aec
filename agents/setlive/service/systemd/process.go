package systemd

import (
	"context"
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
	p := s.home(app).Process(u.pid)
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

// ended forgets a process once it has ended. Systemd calls a unit failed, and down, whose process survives KILL.
func (s *Systemd) ended(ctx context.Context, app string) error {
	home := s.home(app)
	for end := time.Now().Add(service.KillWait); ; {
		pid, lingers := home.Lingers()
		if !lingers {
			return home.Forget()
		}
		if !time.Now().Before(end) || ctx.Err() != nil {
			return fmt.Errorf("process %d survived KILL for %s", pid, service.KillWait)
		}
		time.Sleep(service.PollInterval)
	}
}
