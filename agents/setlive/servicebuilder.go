package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	agenthost "github.com/platypus-platform/platypus/agents/internal/host"
	"github.com/platypus-platform/platypus/agents/setlive/service"
	"github.com/platypus-platform/platypus/intent"
)

// servicebuilder also writes what the servicebuilder of 2014 reads, for hosts where something else still does.
type servicebuilder struct {
	service.Supervisor
	dir string
}

func (s servicebuilder) file(app string) string { return filepath.Join(s.dir, app+".yaml") }

func (s servicebuilder) content(app, basedir string) string {
	return fmt.Sprintf("%s:\n  run:\n  - %s\n", app, filepath.Join(intent.Current(basedir), intent.Launch))
}

// Install implements [service.Writer].
func (s servicebuilder) Install(ctx context.Context, spec service.Spec) error {
	want := s.content(spec.App, spec.Basedir)
	if have, err := os.ReadFile(s.file(spec.App)); err != nil || string(have) != want {
		if err := os.MkdirAll(s.dir, 0o755); err != nil {
			return fmt.Errorf("write for servicebuilder: %w", err)
		}
		if err := agenthost.WriteFile(s.file(spec.App), []byte(want), 0o644); err != nil {
			return err
		}
	}
	return s.Supervisor.Install(ctx, spec)
}

// Remove implements [service.Writer].
func (s servicebuilder) Remove(ctx context.Context, app string) error {
	if err := os.Remove(s.file(app)); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("remove service %s: %w", app, err)
	}
	return s.Supervisor.Remove(ctx, app)
}

// List implements [service.Lister]: a service whose file is not as it should be is to be written anew.
func (s servicebuilder) List(ctx context.Context) ([]service.State, error) {
	states, err := s.Supervisor.List(ctx)
	for i, state := range states {
		have, errRead := os.ReadFile(s.file(state.App))
		switch there, unseen := service.There(errRead); {
		case unseen != nil:
			states[i] = service.State{App: state.App, Problem: unseen.Error(), Bar: service.Unseen}
		case !there || string(have) != s.content(state.App, state.Basedir):
			states[i].Fingerprint = ""
		}
	}
	return states, err
}
