package main

import (
	"context"
	"errors"
	"maps"
	"time"

	"github.com/platypus-platform/platypus/intent"
	"github.com/platypus-platform/platypus/intent/fleet"
	"github.com/platypus-platform/platypus/store"
)

// placements are the placement records of the instances of a vm at one index.
type placements struct {
	byInstance map[string]fleet.Placed
	index      uint64
}

// watchPlacements delivers the placement records of a vm's instances as they change; only those newer than an index,
// unless that is 0.
func (cmd *command) watchPlacements(ctx context.Context, name intent.Name, after uint64) <-chan placements {
	// Watches the key prefix of the vm instead of the whole folder: a fleet has thousands of other instances.
	own := intent.Prefix(string(cmd.tree.PlacedVMs()) + string(name) + ".")
	out := make(chan placements)
	snapshots := cmd.store.WatchAfter(ctx, own, after, func(intent.Prefix, error) {})
	go func() {
		for {
			select {
			case s := <-snapshots:
				said := fleet.Read(cmd.tree, s.Pairs).Placements
				for instance := range said {
					if fleet.VMOf(instance) != name {
						delete(said, instance)
					}
				}
				select {
				case out <- placements{said, s.Index}:
				case <-ctx.Done():
					return
				}
			case <-ctx.Done():
				return
			}
		}
	}()
	return out
}

// placementResult is what allocators recorded for a vm.
type placementResult struct {
	rows       []vmRow
	unanswered int // instances without a record
	check      roomCheck
}

func (a placementResult) pendingCount() (n int) {
	for _, r := range a.rows {
		if r.State != string(intent.Placed) {
			n++
		}
	}
	return n
}

// roomCheck is the result of comparing a "no capacity" answer with the current fleet.
type roomCheck int

const (
	noRoom             roomCheck = iota
	noRoomOtherReasons           // there is no room, but for reasons other than the recorded ones
	roomFound                    // there is room
	firstRecheck       = 50 * time.Millisecond
	lastRecheck        = 2 * time.Second
)

// awaitPlacement waits for a record of each instance that is newer than an index. A "no capacity" answer may predate
// recent machines; it is accepted only if a fresh read of the fleet agrees. If only the reasons differ, the allocator
// gets a short time to update them.
func (cmd *command) awaitPlacement(ctx context.Context, name intent.Name, v intent.VM, since uint64) (a placementResult, err error) {
	ctx, cancel := context.WithTimeout(ctx, cmd.flags.Duration("timeout"))
	defer cancel()
	placements := cmd.watchPlacements(ctx, name, since)
	a.unanswered = v.Count
	var recheck <-chan time.Time // for checking the answer again
	pause := firstRecheck
	for v.Count > 0 {
		select {
		case seen := <-placements:
			if seen.index < since {
				continue // of an earlier vm with that name
			}
			a.rows, a.unanswered = placementRows(name, v, seen.byInstance)
		case <-recheck:
			pause = min(2*pause, lastRecheck)
		case <-ctx.Done():
			return a, nil
		}
		recheck = nil
		if a.unanswered > 0 || a.pendingCount() > 0 && cmd.flags.Bool("wait") {
			continue
		}
		if a.pendingCount() == 0 {
			return a, nil
		}
		if a.check, err = cmd.checkRoom(ctx, name, a.rows); err != nil && ctx.Err() == nil {
			return a, err
		}
		if a.check == noRoom || a.check == noRoomOtherReasons && pause == lastRecheck {
			return a, nil
		}
		recheck = time.After(pause)
	}
	return a, nil
}

// checkRoom checks against the current fleet whether there is no room for the pending instances.
func (cmd *command) checkRoom(ctx context.Context, name intent.Name, rows []vmRow) (roomCheck, error) {
	f, err := cmd.readFleet(ctx)
	if errors.Is(err, store.ErrDenied) {
		return noRoom, nil // without read access, accept the answer
	}
	if err != nil {
		return noRoom, err
	}
	v, known := f.VM(name)
	if !known || v.Fault != "" {
		return noRoom, nil // the vm was released meanwhile
	}
	room, want := fleet.NewRoom(f), fleet.WantOf(v)
	worst := noRoom
	for _, r := range rows {
		i, err := intent.ParseInstance(r.Instance)
		if r.State == string(intent.Placed) || err != nil {
			continue
		}
		if _, fits := room.Choose(&want, fleet.Seed(i, 1)); fits {
			return roomFound, nil
		}
		if refused := room.Refusals(&want); !maps.Equal(refused.Map(), r.Refused) {
			worst = noRoomOtherReasons
		}
	}
	return worst, nil
}
