package runit

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/user"
	"path/filepath"
	"strconv"

	"github.com/platypus-platform/platypus/agents/setlive/service"
)

// List implements [service.Lister].
func (r *Runit) List(context.Context) ([]service.State, error) {
	homes, err := service.Owners(r.stage)
	if err != nil {
		return nil, err
	}
	states := make([]service.State, 0, len(homes))
	for _, home := range homes {
		states = append(states, r.state(home))
	}
	return states, nil
}

func (r *Runit) state(home service.Home) service.State {
	state := home.State()
	s := supervise(home)
	_, err := os.Lstat(s.path("down"))
	state.Boot = err != nil
	if err := r.foreign(state.App); err != nil {
		state.Problem, state.Blocked = err.Error(), true
		return state
	}
	if !r.linked(state.App) {
		state.Fingerprint = "" // installed by half: it is to be linked
		state.Boot = false
	}
	if state.Supervised = s.alive(); !state.Supervised {
		state.Problem = r.absent()
		return state
	}
	now, err := s.status()
	switch {
	case errors.Is(err, errGarbage):
		return state // as if it were down: a command makes runsv write it anew
	case err != nil:
		state.Problem = err.Error()
		return state
	}
	state.Up = now.up
	if now.state == stateRun {
		state.Process = home.Settled(now.pid)
	}
	return state
}

// logMain makes the folder that the log service writes to, which runs as nobody.
func logMain(home string) error {
	dir := filepath.Join(home, "log", "main")
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return err
	}
	if os.Geteuid() != 0 {
		return nil
	}
	u, err := user.Lookup("nobody")
	if err != nil {
		return fmt.Errorf("find user nobody: %w", err)
	}
	uid, _ := strconv.Atoi(u.Uid)
	gid, _ := strconv.Atoi(u.Gid)
	return os.Chown(dir, uid, gid)
}
