package main

import (
	"context"
	"fmt"
	"time"

	"github.com/urfave/cli/v2"

	"github.com/platypus-platform/platypus/intent"
	"github.com/platypus-platform/platypus/store"
)

func releaseVerb() verb {
	return verb{
		name: "release", usage: "give a vm up, and its share of a machine back", args: "NAME…", min: 1, max: -1,
		text: `Scales the vm to nothing, waits until the allocator has released every instance, and removes the wish. Because its count says
so, nothing is held back however many vms are released at once. A share whose app still runs is free when it does not.`,
		examples: []string{"platypus release web", "platypus release web db --timeout 1m -o json"},
		flags: []cli.Flag{boolFlag("no-wait", "remove the wish at once, and leave the rest to the allocator"),
			&cli.DurationFlag{Name: "timeout", Usage: "how long to wait", Value: 30 * time.Second}, messageFlag(), dryRunFlag(), outputFlag()},
		run: release,
	}
}

func release(ctx context.Context, sh *shell) error {
	released, left := []intent.Name{}, []intent.Name{}
	for i := range sh.args {
		name, err := sh.name(i, "NAME")
		if err != nil {
			return err
		}
		done, err := sh.releaseOne(ctx, name)
		if sh.setAside(err) {
			continue
		}
		if err != nil {
			return err
		}
		if done {
			released = append(released, name)
			sh.say("%s is released", name)
		} else {
			left = append(left, name)
			sh.say("%s: no allocator released it within %s: is one running? Its count is 0; next: platypus vms, platypus verify, then release again",
				name, sh.flags.Duration("timeout"))
		}
	}
	if len(sh.aside) > 0 {
		return nil
	}
	if sh.json {
		if err := sh.printJSON("release", map[string]any{"released": released, "left": left}); err != nil {
			return err
		}
	}
	if len(left) > 0 {
		return exit(exitPending)
	}
	return nil
}

func (sh *shell) releaseOne(ctx context.Context, name intent.Name) (done bool, err error) {
	key := sh.tree.VM(name)
	there, found, err := sh.store.Get(ctx, key, store.Default)
	if err != nil {
		return false, err
	}
	if !found {
		f, err := sh.readFleet(ctx)
		if err != nil {
			return false, err
		}
		return false, unknownVM(name, f)
	}
	message := fmt.Sprintf("release %s", name)
	_, problems := intent.Decode[intent.VM](key, there.Value)
	if sh.flags.Bool("no-wait") || problems.Err() != nil {
		_, err := sh.writeKey(ctx, key, there.Value, there.ModifyIndex, nil, message)
		return err == nil, err
	}
	none, err := withMembers(there.Value, map[string]any{"count": 0})
	if err != nil {
		return false, err
	}
	if v, _ := intent.Decode[intent.VM](key, there.Value); v.Count != 0 {
		commit, err := sh.writeKey(ctx, key, there.Value, there.ModifyIndex, none, message)
		if err != nil {
			return false, err
		}
		there.Value, there.ModifyIndex = none, commit.Index
	}
	if !sh.awaitRelease(ctx, name) {
		return false, nil
	}
	_, err = sh.writeKey(ctx, key, there.Value, there.ModifyIndex, nil, message)
	return err == nil, err
}

// awaitRelease waits until nothing is said of any instance of a vm.
func (sh *shell) awaitRelease(ctx context.Context, name intent.Name) bool {
	ctx, cancel := context.WithTimeout(ctx, sh.flags.Duration("timeout"))
	defer cancel()
	placements := sh.watchPlacements(ctx, name, 0)
	for {
		select {
		case seen := <-placements:
			if len(seen.said) == 0 {
				return true
			}
		case <-ctx.Done():
			return false
		}
	}
}
