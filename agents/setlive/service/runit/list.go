package runit

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/user"
	"path/filepath"
	"strconv"
	"time"

	"github.com/platypus-platform/platypus/agents/setlive/service"
)

// List implements [service.Lister].
func (r *Runit) List(context.Context) ([]service.State, error) {
	homes, err := service.Owners(r.stage)
	if err != nil {
		return nil, err
	}
	states := make([]service.State, 0, len(homes))
	if len(homes) == 0 {
		return states, nil
	}
	processes, errProcesses := service.ReadProcessTable()
	for _, home := range homes {
		state, err := r.state(home)
		if err == nil && errProcesses == nil {
			state.Past.Stray, state.Past.Orphans, err = straysOf(processes, home)
		}
		if err = errors.Join(err, errProcesses); err != nil {
			state = home.Hidden(err)
		}
		states = append(states, state)
	}
	return states, nil
}

// straysOf returns a process of a service that no runsv knows, and how many orphans there are beside it. Its error is
// [service.ErrUnseen].
func straysOf(processes service.ProcessTable, home service.Home) (service.Stray, int, error) {
	now, err := supervise(home).status()
	switch {
	case errors.Is(err, service.ErrUnseen):
		return service.Stray{}, 0, err
	case err != nil:
		return service.Stray{}, 0, nil // what its runsv runs could not be told from a stray
	}
	strays, err := processes.Strays(home, now.pid)
	eldest := service.Eldest(strays)
	if started, alive, err := service.StartOf(eldest.PID); !alive || started != eldest.Started {
		return service.Stray{}, 0, err // it was the service's process before now.pid
	}
	return eldest, len(processes.Orphans(strays)), err
}

// state looks at one service. Its error is [service.ErrUnseen].
func (r *Runit) state(home service.Home) (service.State, error) {
	state, err := home.State()
	if err != nil {
		return state, err
	}
	s := supervise(home)
	_, err = os.Lstat(s.path("down"))
	down, err := service.There(err)
	if err != nil {
		return state, err
	}
	state.Boot = !down
	if err := r.foreign(state.App); err != nil {
		if errors.Is(err, service.ErrUnseen) {
			return state, err
		}
		state.Problem, state.Bar = err.Error(), service.Blocked
		return state, nil
	}
	linked, err := r.linked(state.App)
	if err != nil {
		return state, err
	}
	if !linked {
		state.Fingerprint = "" // installed by half: it is to be linked
		state.Boot = false
	}
	if state.Supervised, err = s.alive(); err != nil {
		return state, err
	}
	if !state.Supervised {
		state.Problem = r.absent()
		return state, nil
	}
	return s.observed(state)
}

// observed adds what runsv says of a service that it has in hand.
func (s supervise) observed(state service.State) (service.State, error) {
	now, err := s.status()
	switch {
	case errors.Is(err, service.ErrUnseen):
		return state, err
	case errors.Is(err, errGarbage):
		return state, nil // as if it were down: a command makes runsv write it anew
	case err != nil:
		state.Problem = err.Error()
		return state, nil
	}
	state.Up = now.up
	if now.state == stateRun {
		state.Process, err = service.Home(s).Settled(now.pid)
	}
	return state, err
}

// running returns what runsv says, and the process that it has: none when it says nothing that can be read, for it writes
// that anew at the next command. Its error is [service.ErrUnseen].
func (s supervise) running(home service.Home) (status, service.Process, error) {
	now, err := s.status()
	if errors.Is(err, service.ErrUnseen) {
		return now, service.Process{}, err
	}
	p, err := home.Process(now.pid)
	return now, p, err
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

// strayGrace is from TERM to KILL for what is found before a start: it was to be stopped before that.
const strayGrace = 5 * time.Second

// endStrays ends the processes of a service that its runsv does not know. Where that says nothing that can be read, none is
// ended: the one that it runs could not be told from them.
func (r *Runit) endStrays(ctx context.Context, app string, main service.Main, grace time.Duration) error {
	strays, err := r.home(app).TerminateStrays(main, grace)
	if err == nil {
		err = strays.Wait(ctx)
	}
	if errors.Is(err, errGarbage) {
		return nil
	}
	return err
}

// endOrphans ends what earlier starts of a service left behind.
func (r *Runit) endOrphans(ctx context.Context, app string, grace time.Duration) error {
	orphans, err := r.home(app).TerminateOrphans(r.main(app), grace)
	if err == nil {
		err = orphans.Wait(ctx)
	}
	if err != nil && !errors.Is(err, errGarbage) {
		return fmt.Errorf("end orphans of %s: %w", app, err)
	}
	return nil
}

// nobody is the main process of a service that no runsv has in hand.
func nobody() (int, error) { return 0, nil }

// main tells which process of a service runsv runs.
func (r *Runit) main(app string) service.Main {
	return func() (int, error) {
		now, err := supervise(r.home(app)).status()
		if errors.Is(err, fs.ErrNotExist) {
			err = nil // no runsv has ever run it
		}
		return now.pid, err
	}
}
