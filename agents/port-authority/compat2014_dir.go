package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/platypus-platform/platypus/agents/internal/host"
	"github.com/platypus-platform/platypus/intent"
)

const (
	ending  = ".yml"
	maxFile = 16 << 20 // bytes of one file: every port of both protocols takes 6 MB
)

// compatDir is the directory of 2014 and the command that reads it. The format leaves no room for a mark, so which
// files are this agent's is kept in its state directory: one empty file an app, made before the app's own. Should that
// be lost, files of apps that are gone stay; nothing is removed by guessing.
type compatDir struct {
	dir     string
	state   string
	command string        // "" for none
	timeout time.Duration // of one run of command
}

func (f *compatDir) filePath(app intent.Name) string { return filepath.Join(f.dir, string(app)+ending) }
func (f *compatDir) markerPath(app intent.Name) string {
	return filepath.Join(f.state, "written", string(app))
}
func (f *compatDir) digestPath() string { return filepath.Join(f.state, "rebuilt") }

func (f *compatDir) read() (*Files, error) {
	files := &Files{Content: map[intent.Name]string{}, Written: map[intent.Name]bool{}, Command: f.command != ""}
	entries, err := os.ReadDir(f.dir)
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		return nil, fmt.Errorf("read --config-dir: %w", err)
	}
	for _, entry := range entries {
		base, yml := strings.CutSuffix(entry.Name(), ending)
		app, err := intent.ParseName(base)
		if err != nil || !yml || !entry.Type().IsRegular() {
			continue
		}
		if at, err := entry.Info(); err != nil || at.Size() > maxFile {
			continue
		}
		content, err := os.ReadFile(f.filePath(app))
		if err != nil && !errors.Is(err, os.ErrNotExist) {
			return nil, fmt.Errorf("read ports of %s: %w", app, err)
		}
		if err == nil {
			files.Content[app] = string(content)
		}
	}
	marks, err := os.ReadDir(filepath.Join(f.state, "written"))
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		return nil, fmt.Errorf("read which files are ours: %w", err)
	}
	for _, m := range marks {
		if app, err := intent.ParseName(m.Name()); err == nil {
			files.Written[app] = true
		}
	}
	digest, err := os.ReadFile(f.digestPath())
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		return nil, fmt.Errorf("read which files were rebuilt: %w", err)
	}
	files.Rebuilt = string(digest)
	return files, nil
}

func (f *compatDir) write(s WriteFile) error {
	for _, dir := range []string{f.dir, filepath.Join(f.state, "written")} {
		if err := os.MkdirAll(dir, 0o755); err != nil {
			return fmt.Errorf("make directory: %w", err)
		}
	}
	if err := host.WriteFile(f.markerPath(s.App), nil, 0o644); err != nil {
		return err
	}
	return host.WriteFile(f.filePath(s.App), []byte(s.Content), 0o644)
}

func (f *compatDir) remove(s RemoveFile) error {
	for _, path := range []string{f.filePath(s.App), f.markerPath(s.App)} {
		if err := os.Remove(path); err != nil && !errors.Is(err, os.ErrNotExist) {
			return fmt.Errorf("remove ports of %s: %w", s.App, err)
		}
		if err := host.SyncDir(filepath.Dir(path)); err != nil && !errors.Is(err, os.ErrNotExist) {
			return err
		}
	}
	return nil
}

// rebuild runs the command with everything it starts, for at most the timeout.
func (f *compatDir) rebuild(ctx context.Context, s Rebuild) error {
	ctx, cancel := context.WithTimeout(ctx, f.timeout)
	defer cancel()
	if _, err := host.Run(ctx, nil, f.command, "rebuild"); err != nil {
		if errors.Is(ctx.Err(), context.DeadlineExceeded) {
			return fmt.Errorf("%w: it took longer than --cmd-timeout %s and was killed", err, f.timeout)
		}
		return err
	}
	return host.WriteFile(f.digestPath(), []byte(s.Digest), 0o644)
}
