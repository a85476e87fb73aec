package systemd

import (
	"context"
	"fmt"
	"os"

	"github.com/platypus-platform/platypus/agents/setlive/service"
)

// List implements [service.Lister].
func (s *Systemd) List(ctx context.Context) ([]service.State, error) {
	homes, err := service.Owners(s.homes)
	if err != nil {
		return nil, err
	}
	states := make([]service.State, 0, len(homes))
	for _, home := range homes {
		state, err := s.state(ctx, home)
		if err != nil {
			return nil, err
		}
		states = append(states, state)
	}
	return states, nil
}

func (s *Systemd) state(ctx context.Context, home service.Home) (service.State, error) {
	state := home.State()
	u, err := s.unit(ctx, state.App)
	if err != nil {
		return state, err
	}
	target, err := os.Readlink(s.bootLink(state.App))
	state.Boot = err == nil && target == s.unitFile(state.App)
	state.Supervised = u.loadState == "loaded"
	state.Up = u.active == "active" || u.active == "activating" || u.active == "reloading"
	state.Process = home.Settled(u.pid)
	if pid, lingers := home.Lingers(); lingers && u.down() {
		if state.Process = home.Process(pid); !state.Process.Running() {
			state.Problem, state.Blocked = fmt.Sprintf("a process of group %d survived KILL; nothing is started beside it", pid), true
			return state, nil
		}
	}
	switch {
	case u.loadState == "masked":
		state.Problem, state.Blocked = maskedText(state.App), true
	case u.path != "" && u.path != s.unitFile(state.App):
		state.Problem, state.Blocked = u.path+" is "+service.ErrForeign.Error(), true
	case u.loadState == "not-found":
		state.Fingerprint = "" // installed by half: the unit file is absent
	case u.loadState == "bad-setting" || u.loadState == "error":
		state.Fingerprint = ""
	case u.stale:
		state.Fingerprint = "" // written by half: systemd has not read it, or somebody changed it
	}
	return state, nil
}
