package runit

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/platypus-platform/platypus/agents/setlive/service"
)

// Remove implements [service.Writer]. The folder goes last, once no runsv uses it: to take it from under one and make
// it anew would leave a runsv that watches nothing.
func (r *Runit) Remove(ctx context.Context, app string) error {
	home := r.home(app)
	owned, err := home.Owned()
	if err := errors.Join(r.foreign(app), err); err != nil || !owned {
		return err
	}
	s := supervise(home)
	alive, err := s.alive()
	if err != nil {
		return fmt.Errorf("remove service %s: %w", app, err)
	}
	if alive {
		if err := r.Stop(ctx, app, service.Stopping{Final: true}); err != nil {
			return err
		}
	}
	if err := os.Remove(r.link(app)); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("remove service %s: %w", app, err)
	}
	if err := r.dismiss(ctx, s); err != nil {
		return fmt.Errorf("remove service %s: %w", app, err)
	}
	trash := filepath.Join(r.stage, "."+app+".gone")
	if err := os.RemoveAll(trash); err != nil {
		return fmt.Errorf("remove service %s: %w", app, err)
	}
	if err := os.Rename(string(home), trash); err != nil {
		return fmt.Errorf("remove service %s: %w", app, err)
	}
	return os.RemoveAll(trash)
}

// dismiss ends runsv and its log service.
func (r *Runit) dismiss(ctx context.Context, s supervise) error {
	if alive, err := s.alive(); !alive {
		return err
	}
	if err := s.control('x'); err != nil {
		return err
	}
	err := poll(ctx, service.StartWait, func() (bool, error) {
		alive, err := s.alive()
		return !alive, err
	})
	if errors.Is(err, errTooLong) {
		return errors.New("its runsv does not end")
	}
	return err
}
