package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"runtime/debug"
	"slices"
	"strings"
	"syscall"
	"time"

	"github.com/platypus-platform/platypus/agents/internal/host"
	"github.com/platypus-platform/platypus/intent"
)

// reasonAbandoned is the reason of steps that clear a place its app has left.
const reasonAbandoned = "the app has left this place"

// apply does one step.
func (h *preparer) apply(ctx context.Context, s Step) error {
	err := classify(withBasedir(s.Basedir, h.applyStep(ctx, s)))
	h.recordResult(s, err)
	return err
}

func (h *preparer) applyStep(ctx context.Context, s Step) error {
	switch s.Kind {
	case Adopt:
		return h.registry.add(location{s.App, s.Basedir, h.node})
	case Fetch:
		defer debug.FreeOSMemory() // the buffers of an extraction are many times what an idle agent needs
		return h.install(ctx, s)
	case Prune:
		return prune(s)
	case Sweep:
		return sweep(s)
	case Forget:
		return h.forget(s)
	case Refusal:
		reason, text, _ := strings.Cut(s.Why, ": ")
		return &stepError{Reason: Reason(reason), Err: errors.New(text)}
	}
	return fmt.Errorf("step of unknown kind %q", s.Kind)
}

// recordResult remembers what a step met, for reports, and whether the disk is full, which lets the plan give up spare
// installs.
func (h *preparer) recordResult(s Step, err error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	delete(h.lastErrors, s.Subject())
	if s.Kind == Fetch {
		delete(h.diskFull, s.Basedir)
	}
	if err == nil || errors.Is(err, context.Canceled) {
		return
	}
	h.lastErrors[s.Subject()] = err.Error()
	if t := (*stepError)(nil); errors.As(err, &t) && t.Parked {
		h.lastErrors[s.Subject()] += "; " + reasonParked
	}
	if reasonOf(err) == NoSpace {
		h.diskFull[s.Basedir] = true
	}
}

// prune moves an install into the trash, from where it can be deleted at leisure: it goes as a whole or not at all.
// The links are read once more just before, since their owner may have turned them since they were observed.
func prune(s Step) error {
	root, err := openBasedir(s.Basedir)
	if err != nil {
		return err
	}
	defer root.Close()
	links := []string{intent.Current(s.Basedir)}
	if s.Why != reasonAbandoned {
		links = append(links, intent.Previous(s.Basedir))
	}
	for _, link := range links {
		versions, err := linkedVersions(s.App, link)
		if err != nil {
			return err
		}
		if slices.Contains(versions, s.Version) {
			return nil // in use by now: the next pass sees it
		}
	}
	name := string(s.App) + "_" + string(s.Version)
	away := path.Join(trash, fmt.Sprintf("%s.%d", name, time.Now().UnixNano()))
	err = root.Rename(path.Join("installs", name), away)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	if err := host.SyncDir(intent.Installs(s.Basedir)); err != nil {
		return err
	}
	return root.RemoveAll(away)
}

// sweep deletes something left over, unless somebody has begun to work on it.
func sweep(s Step) error {
	root, err := openBasedir(s.Basedir)
	if err != nil {
		return err
	}
	defer root.Close()
	lock, err := lockLeftover(root, s.Path)
	if errors.Is(err, errBusy) {
		return nil
	}
	if err != nil {
		return err
	}
	if lock != nil {
		defer lock.Close() // only when the entry is gone
	}
	return root.RemoveAll(s.Path)
}

// forget removes our own empty directories and the memory of the place. What is not empty is not ours to remove.
func (h *preparer) forget(s Step) error {
	if err := checkSafe(s.Basedir); err != nil {
		return err
	}
	for name := range ownDirs {
		err := os.Remove(filepath.Join(s.Basedir, name))
		if err != nil && !errors.Is(err, fs.ErrNotExist) && !errors.Is(err, syscall.ENOTEMPTY) && !errors.Is(err, syscall.EEXIST) && !errors.Is(err, syscall.ENOTDIR) {
			return err
		}
	}
	return h.registry.drop(location{App: s.App, Basedir: s.Basedir})
}
