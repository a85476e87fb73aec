package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"reflect"
	"time"

	"github.com/urfave/cli/v2"

	"github.com/platypus-platform/platypus/intent"
	"github.com/platypus-platform/platypus/intent/fleet"
	"github.com/platypus-platform/platypus/store"
	"github.com/platypus-platform/platypus/store/history"
)

func launchVerb() verb {
	return verb{
		name: "launch", usage: "wish for a share of a machine, and say which one it got", args: "[NAME]", min: 0, max: 1,
		text: `Declares a vm and waits until the allocator has found a machine for each instance, or has said why there is none: then
the exit code is 2, and the vm stays wished for and is placed when there is room. The same launch again changes nothing.
Without NAME it gets one. Memory without a unit is in GB (1e9 bytes).`,
		examples: []string{"platypus launch --vm-memory 8 --vm-cores 4 --vm-region SIN web", "platypus launch --vm-memory 512MB --vm-cores 1 --vm-region SIN,any --count 3 -o json"},
		flags: append(vmFlags(), boolFlag("wait", "wait for room too, not only for an answer"), boolFlag("no-wait", "only declare it"),
			&cli.DurationFlag{Name: "timeout", Usage: "how long to wait", Value: 30 * time.Second}, messageFlag(), outputFlag()),
		run: launch,
	}
}

func launch(ctx context.Context, sh *shell) error {
	v, err := sh.vmWanted(ctx)
	if err != nil {
		return err
	}
	name, err := sh.vmName()
	if err != nil {
		return err
	}
	watching, stop := context.WithCancel(ctx)
	defer stop()
	var placements <-chan sighting
	if !sh.flags.Bool("no-wait") {
		placements = sh.watchPlacements(watching, name) // it is under way before there is anything to see
	}
	since, err := sh.wishFor(ctx, name, v)
	if err != nil {
		return err
	}
	if sh.flags.Bool("no-wait") {
		sh.say("%s is declared; next: platypus vms %s", name, name)
		if sh.json {
			return sh.printJSON("launch", map[string]any{"vm": name, "instances": []vmRow{}})
		}
		sh.print("%s", name)
		return nil
	}
	rows, open := sh.awaitPlacement(ctx, name, v, placements, since)
	return sh.launched(name, rows, open)
}

// wishFor declares a vm, and returns the index from which on there is something to say of it. One that is declared with
// the same values already is none the worse for it.
func (sh *shell) wishFor(ctx context.Context, name intent.Name, v intent.VM) (since uint64, err error) {
	value, err := json.Marshal(v)
	if err != nil {
		return 0, err
	}
	key := sh.tree.VM(name)
	commit, err := sh.writeKey(ctx, key, nil, 0, value, fmt.Sprintf("launch %s", name))
	if err == nil || !errors.Is(err, history.ErrChanged) && !errors.Is(err, history.ErrUnchanged) && !errors.Is(err, store.ErrConflict) {
		return commit.Index, err
	}
	there, found, err := sh.store.Get(ctx, key, store.Default)
	if err != nil {
		return 0, err
	}
	have, problems := intent.Decode[intent.VM](key, there.Value)
	if !found || problems.Err() != nil || !reflect.DeepEqual(have, v) {
		return 0, fmt.Errorf("%s is declared already, and otherwise: %s; next: platypus release %s, or another name", name, there.Value, name)
	}
	sh.say("%s is declared already, with the same values", name)
	return 0, nil
}

// sighting is what is said of the instances of a vm at one index.
type sighting struct {
	said  map[string]fleet.Placed
	index uint64
}

// watchPlacements delivers what is said of the instances of a vm, as it changes.
func (sh *shell) watchPlacements(ctx context.Context, name intent.Name) <-chan sighting {
	// What is followed is no folder but the names that begin with the vm's: a fleet has thousands of others.
	own := intent.Prefix(string(sh.tree.PlacedVMs()) + string(name) + ".")
	out := make(chan sighting)
	snapshots := sh.store.Watch(ctx, own, func(intent.Prefix, error) {})
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

// awaitPlacement waits for an answer about each instance, from an index on; open is how many have none.
func (sh *shell) awaitPlacement(ctx context.Context, name intent.Name, v intent.VM, placements <-chan sighting, since uint64) (rows []vmRow, open int) {
	ctx, cancel := context.WithTimeout(ctx, sh.flags.Duration("timeout"))
	defer cancel()
	open = v.Count
	for v.Count > 0 {
		select {
		case seen := <-placements:
			if seen.index < since {
				continue // of an earlier vm of that name
			}
			rows, open = settledNow(name, v, seen.said)
			pending := 0
			for _, r := range rows {
				if r.State != string(intent.Placed) {
					pending++
				}
			}
			if open == 0 && (pending == 0 || !sh.flags.Bool("wait")) {
				return rows, open
			}
		case <-ctx.Done():
			return rows, open
		}
	}
	return nil, 0
}

// launched tells what became of a launch.
func (sh *shell) launched(name intent.Name, rows []vmRow, open int) error {
	pending := 0
	for _, r := range rows {
		if r.State != string(intent.Placed) {
			pending++
		}
	}
	if sh.json {
		if rows == nil {
			rows = []vmRow{}
		}
		if err := sh.printJSON("launch", map[string]any{"vm": name, "instances": rows, "pending": pending, "unanswered": open}); err != nil {
			return err
		}
	} else if len(rows) > 0 {
		sh.printVMs(rows)
	}
	switch {
	case open > 0:
		sh.say("no allocator said anything of %s within %s: is one running? It stays wished for; next: platypus status, platypus vms %s",
			plural(open, "instance"), sh.flags.Duration("timeout"), name)
	case pending > 0:
		sh.say("%s of %s pending: %s", plural(pending, "instance"), name, firstReason(rows))
		sh.say("it stays wished for and is placed when there is room; next: platypus explain %s, platypus release %s", name, name)
	default:
		return nil
	}
	return exit(exitPending)
}

func firstReason(rows []vmRow) string {
	for _, r := range rows {
		if r.Reason != "" {
			return r.Reason
		}
	}
	return "no reason is told"
}
