package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"
	"time"

	agenthost "github.com/platypus-platform/platypus/agents/internal/host"
	"github.com/platypus-platform/platypus/agents/setlive/service"
)

// attempts is the folder with the notes of versions on trial. Losing one means that its version is no longer on
// trial: nothing is reverted on behalf of what is not known.
type attempts string

func (d attempts) path(app string) string { return filepath.Join(string(d), app+".json") }

// read returns the note of an app, or none, and whether there is one that makes no sense. Its error is
// [service.ErrUnseen].
func (d attempts) read(app string) (a Attempt, damaged bool, err error) {
	data, err := os.ReadFile(d.path(app))
	if errors.Is(err, syscall.EISDIR) {
		return Attempt{}, true, nil
	}
	if there, err := service.There(err); !there {
		return Attempt{}, false, err
	}
	if err := json.Unmarshal(data, &a); err != nil || a.To == "" {
		return Attempt{}, true, nil
	}
	return a, false, nil
}

// aside moves a damaged note out of the way.
func (d attempts) aside(app string) {
	_ = os.Rename(d.path(app), fmt.Sprintf("%s.corrupt-%d", d.path(app), time.Now().Unix()))
}

func (d attempts) write(app string, a Attempt) error {
	if have, _, err := d.read(app); err == nil && have == a {
		return nil
	}
	if err := os.MkdirAll(string(d), 0o700); err != nil {
		return fmt.Errorf("note attempt: %w", err)
	}
	data, err := json.Marshal(a)
	if err != nil {
		return fmt.Errorf("note attempt: %w", err)
	}
	return agenthost.WriteFile(d.path(app), append(data, '\n'), 0o600)
}

func (d attempts) forget(app string) error {
	if err := os.Remove(d.path(app)); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("forget attempt: %w", err)
	}
	return nil
}
