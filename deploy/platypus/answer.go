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

// sighting is what is said of the instances of a vm at one index.
type sighting struct {
	said  map[string]fleet.Placed
	index uint64
}

// watchPlacements delivers what is said of the instances of a vm, as it changes; what is newer than an index, unless that
// is 0.
func (sh *shell) watchPlacements(ctx context.Context, name intent.Name, after uint64) <-chan sighting {
	// What is followed is no folder but the names that begin with the vm's: a fleet has thousands of others.
	own := intent.Prefix(string(sh.tree.PlacedVMs()) + string(name) + ".")
	out := make(chan sighting)
	snapshots := sh.store.WatchAfter(ctx, own, after, func(intent.Prefix, error) {})
	go func() {
		for {
			select {
			case s := <-snapshots:
				said := fleet.Read(sh.tree, s.Pairs).Placements
				for instance := range said {
					if fleet.VMOf(instance) != name {
						delete(said, instance)
					}
				}
				select {
				case out <- sighting{said, s.Index}:
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

// answer is what allocators say of a vm.
type answer struct {
	rows  []vmRow
	open  int // instances of which nothing is said
	doubt doubt
}

func (a answer) pending() (n int) {
	for _, r := range a.rows {
		if r.State != string(intent.Placed) {
			n++
		}
	}
	return n
}

// doubt is why an answer that there is no room may be about a fleet of before.
type doubt int

const (
	none       doubt = iota
	otherwise        // there is no room, but for other reasons than are told
	roomThere        // there is room
	firstDoubt = 50 * time.Millisecond
	lastDoubt  = 2 * time.Second
)

// awaitPlacement waits for an answer about each instance that is newer than an index. One that there is no room was maybe
// given before its allocator had heard of the newest machines, so it counts when the fleet, read after the answer, bears it
// out. Where only the reasons differ the allocator is given a little time to tell better ones.
func (sh *shell) awaitPlacement(ctx context.Context, name intent.Name, v intent.VM, since uint64) (a answer, err error) {
	ctx, cancel := context.WithTimeout(ctx, sh.flags.Duration("timeout"))
	defer cancel()
	placements := sh.watchPlacements(ctx, name, since)
	a.open = v.Count
	var again <-chan time.Time // to look once more whether the answer is borne out
	pause := firstDoubt
	for v.Count > 0 {
		select {
		case seen := <-placements:
			if seen.index < since {
				continue // of an earlier vm of that name
			}
			a.rows, a.open = settledNow(name, v, seen.said)
		case <-again:
			pause = min(2*pause, lastDoubt)
		case <-ctx.Done():
			return a, nil
		}
		again = nil
		if a.open > 0 || a.pending() > 0 && sh.flags.Bool("wait") {
			continue
		}
		if a.pending() == 0 {
			return a, nil
		}
		if a.doubt, err = sh.doubt(ctx, name, a.rows); err != nil && ctx.Err() == nil {
			return a, err
		}
		if a.doubt == none || a.doubt == otherwise && pause == lastDoubt {
			return a, nil
		}
		again = time.After(pause)
	}
	return a, nil
}

// doubt asks the fleet as it is now whether there is no room for those instances that are said to have none.
func (sh *shell) doubt(ctx context.Context, name intent.Name, rows []vmRow) (doubt, error) {
	f, err := sh.readFleet(ctx)
	if errors.Is(err, store.ErrDenied) {
		return none, nil // who may not look has to believe
	}
	if err != nil {
		return none, err
	}
	v, known := f.VM(name)
	if !known || v.Fault != "" {
		return none, nil // somebody has taken it back
	}
	room, want := fleet.NewRoom(f), fleet.WantOf(v)
	worst := none
	for _, r := range rows {
		i, err := intent.ParseInstance(r.Instance)
		if r.State == string(intent.Placed) || err != nil {
			continue
		}
		if _, fits := room.Choose(&want, fleet.Seed(i, 1)); fits {
			return roomThere, nil
		}
		if refused := room.Refusals(&want); !maps.Equal(refused.Map(), r.Refused) {
			worst = otherwise
		}
	}
	return worst, nil
}
