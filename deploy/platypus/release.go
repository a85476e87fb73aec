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
		name: "release", usage: "give a vm up, and its share of a machine back", args: "NAME…", minArgs: 1, maxArgs: -1,
		text: `Scales the vm to nothing, waits until the allocator has released every instance, and removes the wish. Because its count says
so, nothing is held back however many vms are released at once. A share whose app still runs is free when it does not.`,
		examples: []string{"platypus release web", "platypus release web db --timeout 1m -o json"},
		flags: []cli.Flag{boolFlag("no-wait", "remove the wish at once, and leave the rest to the allocator"),
			&cli.DurationFlag{Name: "timeout", Usage: "how long to wait", Value: 30 * time.Second}, messageFlag(), dryRunFlag(), outputFlag()},
		run: release,
	}
}

func release(ctx context.Context, cmd *command) error {
	released, left := []intent.Name{}, []intent.Name{}
	for i := range cmd.args {
		name, err := cmd.nameArg(i, "NAME")
		if err != nil {
			return err
		}
		done, err := cmd.releaseOne(ctx, name)
		if cmd.recordDryWrites(err) {
			continue
		}
		if err != nil {
			return err
		}
		if done {
			released = append(released, name)
			cmd.infof("%s is released", name)
		} else {
			left = append(left, name)
			cmd.infof("%s: no allocator released it within %s: is one running? Its count is 0; next: platypus vms, platypus verify, then release again",
				name, cmd.flags.Duration("timeout"))
		}
	}
	if len(cmd.dryWrites) > 0 {
		return nil
	}
	if cmd.json {
		if err := cmd.printJSON("release", map[string]any{"released": released, "left": left}); err != nil {
			return err
		}
	}
	if len(left) > 0 {
		return exit(exitPending)
	}
	return nil
}

func (cmd *command) releaseOne(ctx context.Context, name intent.Name) (done bool, err error) {
	key := cmd.tree.VM(name)
	there, found, err := cmd.store.Get(ctx, key, store.Default)
	if err != nil {
		return false, err
	}
	if !found {
		f, err := cmd.readFleet(ctx)
		if err != nil {
			return false, err
		}
		return false, vmNotDeclared(name, f)
	}
	message := fmt.Sprintf("release %s", name)
	_, problems := intent.Decode[intent.VM](key, there.Value)
	if cmd.flags.Bool("no-wait") || problems.Err() != nil {
		_, err := cmd.writeKey(ctx, key, there.Value, there.ModifyIndex, nil, message)
		return err == nil, err
	}
	none, err := setMembers(there.Value, map[string]any{"count": 0})
	if err != nil {
		return false, err
	}
	if v, _ := intent.Decode[intent.VM](key, there.Value); v.Count != 0 {
		commit, err := cmd.writeKey(ctx, key, there.Value, there.ModifyIndex, none, message)
		if err != nil {
			return false, err
		}
		there.Value, there.ModifyIndex = none, commit.Index
	}
	if !cmd.awaitRelease(ctx, name) {
		return false, nil
	}
	_, err = cmd.writeKey(ctx, key, there.Value, there.ModifyIndex, nil, message)
	return err == nil, err
}

// awaitRelease waits until no instance of a vm has a placement record.
func (cmd *command) awaitRelease(ctx context.Context, name intent.Name) bool {
	ctx, cancel := context.WithTimeout(ctx, cmd.flags.Duration("timeout"))
	defer cancel()
	placements := cmd.watchPlacements(ctx, name, 0)
	for {
		select {
		case seen := <-placements:
			if len(seen.byInstance) == 0 {
				return true
			}
		case <-ctx.Done():
			return false
		}
	}
}
