// Package systemd is the service supervisor systemd, spoken to over D-Bus. An app slug is the unit
// platypus-slug.service. What operators add to it by drop-ins is theirs and counts.
package systemd

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"time"

	"github.com/coreos/go-systemd/v22/dbus"

	"github.com/platypus-platform/platypus/agents/internal/host"
	"github.com/platypus-platform/platypus/agents/setlive/service"
)

// Systemd keeps services as units.
type Systemd struct {
	units string // where unit files are written
	homes string // holds the service folders

	mu   sync.Mutex
	conn *dbus.Conn
	load sync.Mutex // one daemon-reload at a time
}

var _ service.Supervisor = (*Systemd)(nil)

// New returns the systemd that runs this machine. Unit files are written to units, usually /etc/systemd/system, and
// the folders with what they run are made below homes, which must be on a disk that is there at boot.
func New(units, homes string) (*Systemd, error) {
	var err error
	if units, err = filepath.Abs(units); err != nil {
		return nil, fmt.Errorf("find unit folder: %w", err)
	}
	if homes, err = filepath.Abs(homes); err != nil {
		return nil, fmt.Errorf("find service folder: %w", err)
	}
	return &Systemd{units: units, homes: homes}, nil
}

// Close ends the connection to systemd.
func (s *Systemd) Close() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.conn != nil {
		s.conn.Close()
		s.conn = nil
	}
}

func (s *Systemd) home(app string) service.Home { return service.Home(filepath.Join(s.homes, app)) }
func unitName(app string) string                { return "platypus-" + app + ".service" }
func (s *Systemd) unitFile(app string) string   { return filepath.Join(s.units, unitName(app)) }

// Install implements [service.Writer].
func (s *Systemd) Install(ctx context.Context, spec service.Spec) error {
	if err := s.foreign(ctx, spec.App); err != nil {
		return fmt.Errorf("install service %s: %w", spec.App, err)
	}
	home := s.home(spec.App)
	if _, err := home.Write(spec); err != nil {
		return err
	}
	unit := unitOf(string(home), spec)
	have, err := os.ReadFile(s.unitFile(spec.App))
	there, err := service.There(err)
	if err != nil {
		return fmt.Errorf("install service %s: %w", spec.App, err)
	}
	if !there || string(have) != unit {
		if err := os.MkdirAll(s.units, 0o755); err != nil {
			return fmt.Errorf("install service %s: %w", spec.App, err)
		}
		if err := host.WriteFile(s.unitFile(spec.App), []byte(unit), 0o644); err != nil {
			return err
		}
	}
	if _, err := s.fresh(ctx, spec.App); err != nil {
		return fmt.Errorf("install service %s: %w", spec.App, err)
	}
	return nil
}

// foreign refuses a unit that setlive did not write, also one that ours would shadow, and one that is masked.
func (s *Systemd) foreign(ctx context.Context, app string) error {
	file := s.unitFile(app)
	target, err := os.Readlink(file)
	linked, err := service.There(err)
	if err != nil {
		return err
	}
	if linked {
		return fmt.Errorf("%s leads to %s: %w", file, target, service.ErrForeign)
	}
	data, err := os.ReadFile(file)
	there, err := service.There(err)
	if err != nil {
		return err
	}
	if there && !strings.HasPrefix(string(data), unitMark) {
		return fmt.Errorf("%s: %w", file, service.ErrForeign)
	}
	u, err := s.unit(ctx, app)
	if err != nil {
		return err
	}
	if u.loadState == "masked" {
		return maskedError(app)
	}
	if u.path != "" && u.path != file {
		return fmt.Errorf("%s: %w", u.path, service.ErrForeign)
	}
	return nil
}

// reload makes systemd read unit files again.
func (s *Systemd) reload(ctx context.Context) error {
	s.load.Lock()
	defer s.load.Unlock()
	return s.call(ctx, "reload unit files", func(c *dbus.Conn) error { return c.ReloadContext(ctx) })
}

// Start implements [service.Runner].
func (s *Systemd) Start(ctx context.Context, app string) error {
	if err := s.start(ctx, app); err != nil {
		return fmt.Errorf("start %s: %w", app, err)
	}
	return nil
}

func (s *Systemd) start(ctx context.Context, app string) error {
	if err := s.atBoot(app, true); err != nil {
		return err
	}
	u, err := s.fresh(ctx, app)
	if err != nil {
		return err
	}
	if p, err := s.home(app).Process(u.pid); err != nil || u.active == "active" && p.Settings != "" {
		return err
	}
	pid, lingers, err := s.home(app).Lingers()
	if err != nil {
		return err
	}
	if lingers && u.down() {
		return fmt.Errorf("process %d of it is still there, though the unit has ended", pid)
	}
	if u.active == "failed" || u.result == "start-limit-hit" {
		err := s.call(ctx, "reset failure", func(c *dbus.Conn) error { return c.ResetFailedUnitContext(ctx, unitName(app)) })
		if err != nil {
			return err
		}
	}
	err = s.call(ctx, "start unit", func(c *dbus.Conn) error {
		_, err := c.StartUnitContext(ctx, unitName(app), "replace", nil)
		return err
	})
	if err != nil {
		return err
	}
	return s.watch(ctx, app, service.StartWait, func(u unit) (bool, error) {
		if u.job == 0 && u.active == "failed" {
			return false, fmt.Errorf("unit failed: %s", u.result)
		}
		if u.job != 0 {
			return false, nil
		}
		return s.home(app).Noted(u.pid)
	})
}

// fresh returns the unit once systemd knows what its files say now.
func (s *Systemd) fresh(ctx context.Context, app string) (unit, error) {
	u, err := s.unit(ctx, app)
	if err == nil && (u.stale || u.loadState == "not-found") {
		if err = s.reload(ctx); err == nil {
			u, err = s.unit(ctx, app)
		}
	}
	switch {
	case err != nil:
		return u, err
	case u.loadState == "masked":
		return u, maskedError(app)
	case u.loadState != "loaded":
		return u, fmt.Errorf("unit %s is %s: see systemctl status %[1]s", unitName(app), u.loadState)
	case u.stale:
		return u, fmt.Errorf("unit %s changed while it was loaded", unitName(app))
	}
	return u, nil
}

// Stop implements [service.Runner].
func (s *Systemd) Stop(ctx context.Context, app string, how service.Stopping) error {
	if how.Orphans {
		return nil // systemd ends what is left in the unit's cgroup before each start
	}
	if err := s.stop(ctx, app, how); err != nil {
		return fmt.Errorf("stop %s: %w", app, err)
	}
	return nil
}

func (s *Systemd) stop(ctx context.Context, app string, how service.Stopping) error {
	if how.Final {
		if err := s.atBoot(app, false); err != nil {
			return err
		}
	}
	u, err := s.unit(ctx, app)
	if err != nil {
		return err
	}
	if u.down() {
		return s.ended(ctx, app)
	}
	err = s.call(ctx, "stop unit", func(c *dbus.Conn) error {
		_, err := c.StopUnitContext(ctx, unitName(app), "replace", nil)
		return err
	})
	if err != nil {
		return err
	}
	grace := max(graceOf(how), 0)
	if u.stopTimeout > grace { // what an operator allows by a drop-in counts
		grace = u.stopTimeout
	}
	err = s.watch(ctx, app, grace+time.Second, func(u unit) (bool, error) { return u.down(), nil })
	switch {
	case errors.Is(err, errTooLong):
		err = s.kill(ctx, app)
	case err != nil && !how.Final:
		return errors.Join(err, s.callOff(ctx, app))
	}
	if err != nil {
		return err
	}
	return s.ended(ctx, app)
}

func graceOf(how service.Stopping) time.Duration {
	if how.Grace <= 0 {
		return service.DefaultGrace
	}
	return how.Grace
}

// Remove implements [service.Writer].
func (s *Systemd) Remove(ctx context.Context, app string) error {
	home := s.home(app)
	owned, err := home.Owned()
	if err != nil {
		return fmt.Errorf("remove service %s: %w", app, err)
	}
	if !owned {
		return nil
	}
	if err := s.foreign(ctx, app); err != nil {
		return fmt.Errorf("remove service %s: %w", app, err)
	}
	if err := s.Stop(ctx, app, service.Stopping{Final: true}); err != nil {
		return err
	}
	if err := os.Remove(s.unitFile(app)); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("remove service %s: %w", app, err)
	}
	if err := s.reload(ctx); err != nil {
		return err
	}
	// Forgetting a unit that failed is tidiness: one that did not fail is already forgotten.
	_ = s.call(ctx, "reset failure", func(c *dbus.Conn) error { return c.ResetFailedUnitContext(ctx, unitName(app)) })
	if err := os.RemoveAll(string(home)); err != nil {
		return fmt.Errorf("remove service %s: %w", app, err)
	}
	return nil
}
