package systemd

import (
	"context"
	"errors"
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
		switch {
		case errors.Is(err, service.ErrUnseen):
			state = home.Hidden(err)
		case err != nil:
			return nil, err
		}
		states = append(states, state)
	}
	return states, nil
}

func (s *Systemd) state(ctx context.Context, home service.Home) (service.State, error) {
	state, err := home.State()
	if err != nil {
		return state, err
	}
	u, err := s.unit(ctx, state.App)
	if err != nil {
		return state, err
	}
	target, err := os.Readlink(s.bootLink(state.App))
	linked, err := service.There(err)
	if err != nil {
		return state, err
	}
	state.Boot = linked && target == s.unitFile(state.App)
	state.Supervised = u.loadState == "loaded"
	// After a process has ended by itself its finish script runs, and the unit is started again.
	ending := u.active == "deactivating" && u.job == 0
	state.Up = u.active == "active" || u.active == "activating" || u.active == "reloading" || ending
	if state.Process, err = home.Settled(u.pid); err != nil {
		return state, err
	}
	pid, lingers, err := home.Lingers()
	if err != nil {
		return state, err
	}
	if lingers && u.down() {
		if state.Process, err = home.Process(pid); err != nil {
			return state, err
		}
		if !state.Process.Running() {
			state.Problem, state.Bar = fmt.Sprintf("a process of group %d survived KILL; nothing is started beside it", pid), service.Blocked
			return state, nil
		}
	}
	return s.judged(state, u), nil
}

// judged adds what is wrong with a unit.
func (s *Systemd) judged(state service.State, u unit) service.State {
	switch {
	case u.loadState == "masked":
		state.Problem, state.Bar = maskedError(state.App).Error(), service.Blocked
	case u.path != "" && u.path != s.unitFile(state.App):
		state.Problem, state.Bar = u.path+" is "+service.ErrForeign.Error(), service.Blocked
	case u.loadState == "not-found":
		state.Fingerprint = "" // installed by half: the unit file is absent
	case u.loadState == "bad-setting" || u.loadState == "error":
		state.Fingerprint = ""
	case u.stale:
		state.Fingerprint = "" // written by half: systemd has not read it, or somebody changed it
	}
	return state
}
