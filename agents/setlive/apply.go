package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	agenthost "github.com/platypus-platform/platypus/agents/internal/host"
	"github.com/platypus-platform/platypus/agents/setlive/service"
	"github.com/platypus-platform/platypus/intent"
)

// startLimit bounds what is done for an app after setlive itself was told to end.
const startLimit = 3 * time.Second

// apply does one step. Setlive may be told to end between two steps of a switch, and the loop then takes no more of
// them: the app is started with whatever is current, old or new, rather than left down until setlive comes back.
func (h *host) apply(ctx context.Context, s Step) error {
	err := h.do(ctx, s)
	if err != nil || ctx.Err() == nil || s.Final || s.Verb != Stop && s.Verb != Flip && s.Verb != Install {
		return err
	}
	last, cancel := context.WithTimeout(context.WithoutCancel(ctx), startLimit)
	defer cancel()
	_ = h.services.Start(last, s.Spec.App) // for an app that was never up there is nothing to start
	return ctx.Err()
}

func (h *host) do(ctx context.Context, s Step) error {
	app := s.Spec.App
	switch s.Verb {
	case Look:
		return errors.New(s.Why)
	case Stop:
		return h.stop(ctx, s)
	case Flip:
		return h.flip(ctx, s)
	case Install:
		return h.services.Install(ctx, s.Spec)
	case Start:
		return h.services.Start(ctx, app)
	case Adopt:
		return h.services.Adopt(ctx, s.Spec, s.Process)
	case Tell:
		return h.services.Tell(ctx, app, s.Signal, s.Spec.Settings())
	case Reap:
		return h.services.Stop(ctx, app, service.Stopping{Grace: s.Spec.Grace(), Orphans: true})
	case Commit:
		return h.attempts.forget(app)
	case Revert:
		return h.attempts.write(app, s.Attempt)
	case Unlink:
		return h.unlink(s)
	case Remove:
		if err := h.attempts.forget(app); err != nil {
			return err
		}
		return h.services.Remove(ctx, app)
	}
	return fmt.Errorf("unknown step %q", s.Verb)
}

func (h *host) stop(ctx context.Context, s Step) error {
	app := s.Spec.App
	if s.Version != "" { // a full or a read-only disk is met before anything is down
		if err := linkable(s.Spec.Basedir); err != nil {
			return fmt.Errorf("stop: what comes after it cannot be done: %w", err)
		}
	}
	if s.Attempt != (Attempt{}) { // for the same reason
		if err := h.attempts.write(app, s.Attempt); err != nil {
			return err
		}
	}
	if s.Leased { // last of all, so that nothing delays what it allows
		if err := h.peers.Confirm(ctx, app); err != nil {
			return fmt.Errorf("stop: %w", err)
		}
	}
	if s.Final {
		h.leaving.Store(app, true)
		_ = h.catalog.Drop(ctx, app) // the catalog tries again by itself
	}
	return h.services.Stop(ctx, app, service.Stopping{Grace: s.Spec.Grace(), Final: s.Final})
}

// linkable reports whether a link could be made in a directory.
func linkable(dir string) error {
	probe := filepath.Join(dir, ".current.probe")
	if err := os.Remove(probe); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	if err := os.Symlink("probe", probe); err != nil {
		return err
	}
	return os.Remove(probe)
}

// flip makes current lead to a version. The version before stays reachable as previous, so that preparer keeps it.
func (h *host) flip(ctx context.Context, s Step) error {
	err := h.links(s)
	if err == nil {
		return nil
	}
	if version, unseen := versionOf(s.Spec.App, s.Spec.Basedir, intent.Current(s.Spec.Basedir)); unseen == nil && version != "" {
		// Rather the old version than none, until the next try.
		err = errors.Join(err, h.services.Start(ctx, s.Spec.App))
	}
	return err
}

func (h *host) links(s Step) error {
	if s.Attempt != (Attempt{}) {
		if err := h.attempts.write(s.Spec.App, s.Attempt); err != nil {
			return err
		}
		if s.Attempt.From != "" {
			if err := agenthost.SwapLink(intent.Previous(s.Spec.Basedir), install(s.Spec, s.Attempt.From)); err != nil {
				return err
			}
		}
	}
	return agenthost.SwapLink(intent.Current(s.Spec.Basedir), install(s.Spec, s.Version))
}

func (h *host) unlink(s Step) error {
	for _, link := range []string{intent.Current(s.Spec.Basedir), intent.Previous(s.Spec.Basedir)} {
		at, err := os.Lstat(link)
		there, err := service.There(err)
		if err != nil {
			return fmt.Errorf("unlink: %w", err)
		}
		if !there || at.Mode()&os.ModeSymlink == 0 {
			continue // absent, or not ours
		}
		if err := os.Remove(link); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return fmt.Errorf("unlink %s: %w", link, err)
		}
	}
	return nil
}
