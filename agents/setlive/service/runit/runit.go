// Package runit is the service supervisor runit, spoken to through the files of runsv(8) alone: no sv is needed.
package runit

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"github.com/platypus-platform/platypus/agents/internal/host"
	"github.com/platypus-platform/platypus/agents/setlive/service"
)

// Runit keeps services under a runsvdir.
type Runit struct {
	services string // scanned by runsvdir
	stage    string // holds the service folders that services links to
}

var _ service.Supervisor = (*Runit)(nil)

// New returns the supervisor whose runsvdir scans services. The service folders are made below stage.
func New(services, stage string) (*Runit, error) {
	var err error
	if services, err = filepath.Abs(services); err != nil {
		return nil, fmt.Errorf("find service folder: %w", err)
	}
	if stage, err = filepath.Abs(stage); err != nil {
		return nil, fmt.Errorf("find stage folder: %w", err)
	}
	return &Runit{services, stage}, nil
}

func (r *Runit) home(app string) service.Home { return service.Home(filepath.Join(r.stage, app)) }
func (r *Runit) link(app string) string       { return filepath.Join(r.services, app) }

// Install implements [service.Writer]. A service that is new to runsvdir is started by it, within 5 s.
func (r *Runit) Install(ctx context.Context, spec service.Spec) error {
	if err := r.foreign(spec.App); err != nil {
		return fmt.Errorf("install service %s: %w", spec.App, err)
	}
	home := r.home(spec.App)
	if _, err := home.Write(spec, logRun()); err != nil {
		return err
	}
	if err := logMain(string(home)); err != nil {
		return fmt.Errorf("install service %s: %w", spec.App, err)
	}
	target, err := os.Readlink(r.link(spec.App))
	if there, err := service.There(err); err != nil || there && target == string(home) {
		return err
	}
	return host.SwapLink(r.link(spec.App), string(home))
}

// foreign refuses a name in the service folder that does not lead to our stage. Its error is [service.ErrForeign] or
// [service.ErrUnseen].
func (r *Runit) foreign(app string) error {
	target, err := os.Readlink(r.link(app))
	_, unseen := service.There(err)
	switch {
	case unseen != nil:
		return unseen
	case errors.Is(err, fs.ErrNotExist) || err == nil && target == string(r.home(app)):
		return nil
	case err == nil:
		return fmt.Errorf("%s leads to %s: %w", r.link(app), target, service.ErrForeign)
	}
	return fmt.Errorf("%s: %w", r.link(app), service.ErrForeign)
}

// logRun is the log service of every app: what it prints is kept, with times, below log/main.
func logRun() service.File {
	run := "#!/bin/sh\nexec svlogd -tt ./main\n"
	if os.Geteuid() == 0 {
		run = "#!/bin/sh\nexec chpst -unobody svlogd -tt ./main\n"
	}
	return service.File{Path: "log/run", Data: []byte(run), Mode: 0o755}
}

// Start implements [service.Runner].
func (r *Runit) Start(ctx context.Context, app string) error {
	s := supervise(r.home(app))
	if err := os.Remove(s.path("down")); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("start %s: %w", app, err)
	}
	if err := r.supervised(ctx, app); err != nil {
		return fmt.Errorf("start %s: %w", app, err)
	}
	was, process, err := s.running(r.home(app))
	if err != nil {
		return fmt.Errorf("start %s: %w", app, err)
	}
	if was.up && process.Settings != "" {
		return nil
	}
	if !process.Running() { // what runs beside it would hold its port
		if err := r.endStrays(ctx, app, r.main(app), strayGrace); err != nil {
			return fmt.Errorf("start %s: %w", app, err)
		}
	}
	if err := s.control('u'); err != nil {
		return fmt.Errorf("start %s: %w", app, err)
	}
	err = poll(ctx, service.StartWait, func() (bool, error) {
		now, err := s.status()
		if errors.Is(err, errGarbage) {
			return false, nil
		}
		if err != nil || !now.up {
			return false, err
		}
		return r.home(app).Noted(now.pid)
	})
	if err != nil {
		return fmt.Errorf("start %s: %w", app, err)
	}
	return nil
}

// supervised waits until runsv has the service in hand. runsvdir looks for new services every 5 s.
func (r *Runit) supervised(ctx context.Context, app string) error {
	s := supervise(r.home(app))
	err := poll(ctx, service.StartWait, s.alive)
	if errors.Is(err, errTooLong) {
		return errors.New(r.absent())
	}
	return err
}

// absent says why nothing supervises a service.
func (r *Runit) absent() string {
	return fmt.Sprintf("no runsv has it in hand: is a runsvdir running on %s?", r.services)
}

// Stop implements [service.Runner].
func (r *Runit) Stop(ctx context.Context, app string, how service.Stopping) error {
	if how.Orphans {
		return r.endOrphans(ctx, app, graceOf(how))
	}
	if err := r.stop(ctx, app, how); err != nil {
		return fmt.Errorf("stop %s: %w", app, err)
	}
	return nil
}

func (r *Runit) stop(ctx context.Context, app string, how service.Stopping) error {
	s := supervise(r.home(app))
	if how.Final {
		if err := host.WriteFile(s.path("down"), nil, 0o644); err != nil {
			return err
		}
	}
	alive, err := s.alive()
	if err != nil {
		return err
	}
	if !alive {
		linked, err := r.linked(app)
		if err != nil {
			return err
		}
		if how.Final && !linked {
			return r.endStrays(ctx, app, nobody, graceOf(how))
		}
		return errors.New(r.absent())
	}
	_, process, err := s.running(r.home(app))
	if err != nil {
		return err
	}
	pipe, err := s.reach() // and kept: that a stop can be called off must not hang on one more file
	if err != nil {
		return err
	}
	defer pipe.Close()
	strays, err := r.home(app).TerminateStrays(r.main(app), graceOf(how))
	if err != nil && !errors.Is(err, errGarbage) {
		return err
	}
	if err := tell(pipe, 'd'); err != nil {
		return err
	}
	err = poll(ctx, graceOf(how), s.down)
	switch {
	case errors.Is(err, errTooLong):
		err = r.kill(ctx, s, process)
	case err != nil && !how.Final:
		return errors.Join(err, tell(pipe, 'u')) // called off: rather the old version than none
	}
	if err != nil {
		return err
	}
	err = poll(context.WithoutCancel(ctx), service.KillWait, func() (bool, error) { return true, service.KillGroup(process) })
	if err == nil {
		err = strays.Wait(ctx)
	}
	if err != nil {
		return err
	}
	return r.home(app).Forget()
}

// commands are what runsv(8) is told to send a signal.
var commands = map[string]byte{"HUP": 'h', "USR1": '1', "USR2": '2'}

// Tell implements [service.Runner].
func (r *Runit) Tell(_ context.Context, app, signal, settings string) error {
	s, home := supervise(r.home(app)), r.home(app)
	now, err := s.status()
	if err != nil {
		return fmt.Errorf("tell %s: %w", app, err)
	}
	p, err := home.Process(now.pid)
	if err != nil {
		return fmt.Errorf("tell %s: %w", app, err)
	}
	command, known := commands[signal]
	if !known || now.state != stateRun || p.Settings == "" {
		return fmt.Errorf("tell %s %s: %w", app, signal, service.ErrUntold)
	}
	if err := s.control(command); err != nil {
		return fmt.Errorf("tell %s %s: %w", app, signal, err)
	}
	return home.Informed(p, settings)
}

// kill ends a service that did not heed TERM, with all its children.
func (r *Runit) kill(ctx context.Context, s supervise, process service.Process) error {
	if !process.Running() {
		var err error
		if _, process, err = s.running(service.Home(s)); err != nil {
			return err
		}
	}
	if err := service.KillGroup(process); err != nil {
		return err
	}
	if !process.Running() {
		// Told so between the end of a process and the start of its finish script, runsv does not write its status again: the
		// second command makes it.
		if err := errors.Join(s.control('k'), s.control('d')); err != nil {
			return err
		}
	}
	err := poll(context.WithoutCancel(ctx), service.KillWait, s.down)
	if errors.Is(err, errTooLong) {
		return fmt.Errorf("process %d survived KILL for %s", process.PID, service.KillWait)
	}
	return err
}

func graceOf(how service.Stopping) time.Duration {
	if how.Grace <= 0 {
		return service.DefaultGrace
	}
	return how.Grace
}

// linked reports whether the service folder names the app. Its error is [service.ErrUnseen].
func (r *Runit) linked(app string) (bool, error) {
	_, err := os.Lstat(r.link(app))
	return service.There(err)
}
