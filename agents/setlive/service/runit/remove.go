package runit

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"time"

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
	if err := r.keepLog(app, time.Now()); err != nil {
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

// LogRetention is how long the log of an app is kept once its service was removed.
const LogRetention = 14 * 24 * time.Hour

// keptFormat is the time in the name of a log that is kept, in UTC.
const keptFormat = "20060102T150405Z"

// keepLog moves what an app has printed out of its service folder: to STAGE/.APP.log-TIME. Logs that were kept for longer than
// [LogRetention] are removed.
func (r *Runit) keepLog(app string, now time.Time) error {
	log := filepath.Join(string(r.home(app)), "log", "main")
	at, err := os.Lstat(log)
	if there, err := service.There(err); err != nil {
		return err
	} else if there && at.IsDir() {
		if err := os.Rename(log, filepath.Join(r.stage, "."+app+".log-"+now.UTC().Format(keptFormat))); err != nil {
			return err
		}
	}
	kept, err := filepath.Glob(filepath.Join(r.stage, ".*.log-*"))
	for _, path := range kept {
		since, errTime := time.Parse(keptFormat, path[strings.LastIndexByte(path, '-')+1:])
		if errTime == nil && now.Sub(since) > LogRetention {
			err = errors.Join(err, os.RemoveAll(path))
		}
	}
	return err
}
