package systemd

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/coreos/go-systemd/v22/dbus"
	godbus "github.com/godbus/dbus/v5"

	"github.com/platypus-platform/platypus/agents/internal/host"
	"github.com/platypus-platform/platypus/agents/setlive/service"
)

// unitMark begins every unit file of ours.
const unitMark = "# Written by Platypus setlive"

// wantedBy is the target that starts services at boot.
const wantedBy = "multi-user.target"

// unitOf returns the unit file of a service. It has no limit on starts: like runit, systemd shall never give up.
func unitOf(home string, s service.Spec) string {
	quote := strings.NewReplacer(`\`, `\\`, `"`, `\"`, `%`, `%%`, `$`, `$$`).Replace
	return fmt.Sprintf(`%s for %s, and written anew when it differs: use systemctl edit to add to it.
[Unit]
Description=Platypus app %[2]s
After=network-online.target
StartLimitIntervalSec=0

[Service]
Type=exec
ExecStart="%s"
ExecStopPost=-"%s"
Restart=always
RestartSec=1
KillMode=mixed
TimeoutStopSec=%dms

[Install]
WantedBy=%s
`, unitMark, s.App, quote(filepath.Join(home, service.RunName)), quote(filepath.Join(home, service.FinishName)),
		s.Grace().Milliseconds(), wantedBy)
}

// atBoot makes systemd start the unit at boot, or not.
func (s *Systemd) atBoot(app string, wanted bool) error {
	link := s.bootLink(app)
	if !wanted {
		if err := os.Remove(link); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
		return nil
	}
	target, err := os.Readlink(link)
	if there, err := service.There(err); err != nil || there && target == s.unitFile(app) {
		return err
	}
	if err := os.MkdirAll(filepath.Dir(link), 0o755); err != nil {
		return err
	}
	return host.SwapLink(link, s.unitFile(app))
}

func (s *Systemd) bootLink(app string) string {
	return filepath.Join(s.units, wantedBy+".wants", unitName(app))
}

// unit is what systemd says of one unit.
type unit struct {
	loadState   string
	active      string
	sub         string
	path        string // of its file; "" when it has none
	result      string // how it ended last
	stale       bool   // its files changed since systemd read them
	pid         int
	job         uint32 // under way; 0 for none
	stopTimeout time.Duration
}

// down reports whether nothing runs and nothing is about to.
func (u unit) down() bool {
	return u.job == 0 && (u.active == "inactive" || u.active == "failed") && u.pid == 0
}

// errMasked says that a person does not want a unit to run.
var errMasked = errors.New("masked")

func maskedError(app string) error {
	return fmt.Errorf("unit %s is %w: run systemctl unmask %[1]s when it may run", unitName(app), errMasked)
}

// busPatience bounds one question to systemd, as systemctl does: one that is busy may be silent for longer than 10 s, and a
// bus that hangs must not keep the other apps from being looked after.
const busPatience = 25 * time.Second

func (s *Systemd) unit(ctx context.Context, app string) (u unit, err error) {
	ctx, cancel := context.WithTimeout(ctx, busPatience)
	defer cancel()
	var p map[string]any
	err = s.call(ctx, "ask for unit", func(c *dbus.Conn) error {
		p, err = c.GetAllPropertiesContext(ctx, unitName(app))
		return err
	})
	if err != nil {
		return u, err
	}
	u.loadState, _ = p["LoadState"].(string)
	u.active, _ = p["ActiveState"].(string)
	u.sub, _ = p["SubState"].(string)
	u.path, _ = p["FragmentPath"].(string)
	u.result, _ = p["Result"].(string)
	u.stale, _ = p["NeedDaemonReload"].(bool)
	if pid, ok := p["MainPID"].(uint32); ok {
		u.pid = int(pid)
	}
	if job, ok := p["Job"].([]any); ok && len(job) > 0 {
		u.job, _ = job[0].(uint32)
	}
	if micros, ok := p["TimeoutStopUSec"].(uint64); ok && micros < uint64(time.Hour/time.Microsecond) {
		u.stopTimeout = time.Duration(micros) * time.Microsecond
	}
	return u, nil
}

// call does something over a connection that works, a second time when the connection turns out to be dead. What it
// does must be fit for being done twice.
func (s *Systemd) call(ctx context.Context, what string, do func(*dbus.Conn) error) error {
	var err error
	for range 2 {
		var c *dbus.Conn
		if c, err = s.connected(ctx); err != nil {
			return fmt.Errorf("%s: %w", what, err)
		}
		if err = do(c); err == nil {
			return nil
		}
		if c.Connected() && !lost(err) || ctx.Err() != nil {
			break
		}
		s.drop(c)
	}
	return fmt.Errorf("%s: %w", what, err)
}

// lost reports whether an error means that nobody was at the other end.
func lost(err error) bool {
	var answer godbus.Error
	if !errors.As(err, &answer) {
		return errors.Is(err, godbus.ErrClosed) || !errors.Is(err, context.Canceled) && !errors.Is(err, context.DeadlineExceeded)
	}
	switch answer.Name {
	case "org.freedesktop.DBus.Error.NoReply", "org.freedesktop.DBus.Error.Disconnected", "org.freedesktop.DBus.Error.ServiceUnknown":
		return true
	}
	return false
}

// connected returns a connection: to the system bus, or, when that is gone and we are root, to systemd itself.
func (s *Systemd) connected(ctx context.Context) (*dbus.Conn, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.conn != nil && s.conn.Connected() {
		return s.conn, nil
	}
	s.conn = nil
	// The context of a connection is its life: it must not end with this call.
	c, err := dbus.NewWithContext(context.WithoutCancel(ctx))
	if err != nil {
		return nil, fmt.Errorf("connect to systemd: %w", err)
	}
	s.conn = c
	return c, nil
}

func (s *Systemd) drop(c *dbus.Conn) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.conn == c {
		s.conn = nil
	}
	c.Close()
}

var errTooLong = errors.New("it takes too long")

// watch looks at a unit until done, an error, the end of ctx, or errTooLong. What cannot be seen of its processes is looked
// for again: it is an error when the limit is reached. It looks rather than waits for a signal,
// which would be lost with the connection.
func (s *Systemd) watch(ctx context.Context, app string, limit time.Duration, done func(unit) (bool, error)) error {
	end := time.Now().Add(limit)
	for pause := 2 * service.PollInterval; ; pause = min(2*pause, 50*service.PollInterval) {
		u, err := s.unit(ctx, app)
		if err != nil {
			return err
		}
		ok, err := done(u)
		unseen := errors.Is(err, service.ErrUnseen)
		if err != nil && !unseen || err == nil && ok {
			return err
		}
		if !time.Now().Before(end) {
			if unseen {
				return err
			}
			return errTooLong
		}
		select {
		case <-time.After(pause):
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}
