package service

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"syscall"
	"time"
)

// scanPause is between two looks at all processes: one costs more than a look at a single process does.
const scanPause = 20 * time.Millisecond

// Eldest returns the stray that has run longest, those first that are proven to be the service's, and the zero Stray when
// there is none.
func Eldest(strays []Stray) Stray {
	if len(strays) == 0 {
		return Stray{}
	}
	return slices.MinFunc(strays, func(a, b Stray) int {
		if a.Proven != b.Proven {
			if a.Proven {
				return -1
			}
			return 1
		}
		return cmp.Or(cmp.Compare(a.Started, b.Started), cmp.Compare(a.PID, b.PID))
	})
}

// Main tells which process the supervisor runs, 0 for none. It is asked after a look at all processes: what it started before
// that is then no stray.
type Main func() (int, error)

// StrayShutdown ends the strays of one service.
type StrayShutdown struct {
	home       Home
	main       Main
	orphans    bool                  // only those are ended
	terminated map[Process]bool      // were sent TERM and have until the deadline
	killed     map[Process]time.Time // were sent KILL
	until      time.Time
}

// TerminateStrays sends TERM to all proven strays of a service; they have until grace is over to end. Its error is
// [ErrUnseen], or that of main.
func (h Home) TerminateStrays(main Main, grace time.Duration) (*StrayShutdown, error) {
	return h.terminate(main, grace, false)
}

// TerminateOrphans does so to those that [ProcessTable.Orphans] returns.
func (h Home) TerminateOrphans(main Main, grace time.Duration) (*StrayShutdown, error) {
	return h.terminate(main, grace, true)
}

func (h Home) terminate(main Main, grace time.Duration, orphans bool) (*StrayShutdown, error) {
	f := &StrayShutdown{home: h, main: main, orphans: orphans, terminated: map[Process]bool{}, killed: map[Process]time.Time{}, until: time.Now().Add(grace)}
	strays, err := f.proven()
	for _, s := range strays {
		f.terminated[s] = true
		if err := signal(s, syscall.SIGTERM); err != nil {
			return f, err
		}
	}
	return f, err
}

// proven lists the strays that are proven to be the service's.
func (f *StrayShutdown) proven() (processes []Process, err error) {
	c, err := ReadProcessTable()
	if err != nil {
		return nil, err
	}
	main, err := f.main()
	if err != nil {
		return nil, err
	}
	strays, err := c.Strays(f.home, main)
	if f.orphans {
		strays = c.Orphans(strays)
	}
	for _, s := range strays {
		if s.Proven {
			processes = append(processes, s.Process)
		}
	}
	return processes, err
}

// Wait is called once the supervisor has ended what it ran of the service, and returns when no stray of it is left. Those
// that were not sent TERM are killed at once, like what is left of a process group, the others when their time is over or
// ctx ends. What is still there [KillWait] after KILL is an error, and so are strays that keep coming after all that time.
func (f *StrayShutdown) Wait(ctx context.Context) error {
	begin := time.Now()
	end := begin.Add(max(time.Until(f.until), 0) + KillWait + time.Second)
	for ; ; time.Sleep(scanPause) {
		left, err := f.proven()
		if err != nil && time.Since(begin) < KillWait {
			continue // what could not be looked at is looked at again
		}
		if err != nil {
			return err
		}
		if len(left) == 0 {
			return nil
		}
		if limit := time.Now().Add(KillWait); ctx.Err() != nil && limit.Before(end) {
			end = limit
		}
		if time.Now().After(end) {
			return fmt.Errorf("process %d still runs, or was started meanwhile: end what starts it", left[0].PID)
		}
		for _, p := range left {
			if f.terminated[p] && time.Now().Before(f.until) && ctx.Err() == nil {
				continue
			}
			if f.killed[p].IsZero() {
				f.killed[p] = time.Now()
			}
			if time.Since(f.killed[p]) > KillWait {
				return fmt.Errorf("process %d survived KILL for %s", p.PID, KillWait)
			}
			if err := signal(p, syscall.SIGKILL); err != nil {
				return err
			}
		}
	}
}

// signal sends a signal to a process and to no other that got its id meanwhile.
func signal(p Process, number syscall.Signal) error {
	started, alive, err := StartOf(p.PID)
	if err != nil || !alive || started != p.Started || p.PID <= 1 {
		return err
	}
	if err := syscall.Kill(p.PID, number); err != nil && err != syscall.ESRCH {
		return fmt.Errorf("send %s to process %d: %w", number, p.PID, err)
	}
	return nil
}
