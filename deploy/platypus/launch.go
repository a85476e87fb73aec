package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"reflect"
	"time"

	"github.com/urfave/cli/v2"

	"github.com/platypus-platform/platypus/deploy/platypus/internal/change"
	"github.com/platypus-platform/platypus/deploy/platypus/internal/world"
	"github.com/platypus-platform/platypus/intent"
	"github.com/platypus-platform/platypus/store"
	"github.com/platypus-platform/platypus/store/history"
)

func launchVerb() verb {
	return verb{
		name: "launch", usage: "wish for a share of a machine, and say which one it got", args: "[NAME]", minArgs: 0, maxArgs: 1,
		text: `Declares a vm and waits until the allocator has found a machine for each instance, or has said why there is none: then
the exit code is 2, and the vm stays wished for and is placed when there is room. An allocator that says so before it has
heard of the newest machines is not believed yet. The same launch again changes nothing.
Without NAME it gets one. Memory without a unit is in GB (1e9 bytes).`,
		examples: []string{"platypus launch --vm-memory 8 --vm-cores 4 --vm-region SIN web", "platypus launch --vm-memory 512MB --vm-cores 1 --vm-region SIN,any --count 3 -o json"},
		flags: append(vmFlags(), boolFlag("wait", "wait for room too, not only for an answer"), boolFlag("no-wait", "only declare it"),
			&cli.DurationFlag{Name: "timeout", Usage: "how long to wait", Value: 30 * time.Second}, messageFlag(), dryRunFlag(), outputFlag()),
		run: launch,
	}
}

func launch(ctx context.Context, cmd *command) error {
	v, err := cmd.vmFromFlags()
	if err != nil {
		return err
	}
	name, err := cmd.vmName()
	if err != nil {
		return err
	}
	if err := cmd.checkCluster(ctx, v); err != nil {
		return err
	}
	since, err := cmd.declareVM(ctx, name, v)
	if err != nil {
		return err
	}
	if cmd.isDryRun() {
		return nil // already declared: there is nothing to write and nothing to wait for
	}
	if cmd.flags.Bool("no-wait") {
		cmd.infof("%s is declared; next: platypus vms %s", name, name)
		if cmd.json {
			return cmd.printJSON("launch", map[string]any{"vm": name, "instances": []vmRow{}})
		}
		cmd.printf("%s", name)
		return nil
	}
	a, err := cmd.awaitPlacement(ctx, name, v, since)
	if err != nil {
		return err
	}
	return cmd.reportLaunch(name, a)
}

// checkCluster refuses a vm with an undeclared app: it would be placed and nothing would run.
func (cmd *command) checkCluster(ctx context.Context, v intent.VM) error {
	if v.App == "" {
		return nil
	}
	now, err := world.ReadIntent(ctx, cmd.store, cmd.tree)
	if errors.Is(err, store.ErrDenied) {
		cmd.infof("note: the token may not read intent, so whether %s is declared in %s was not checked", v.App, v.Cluster)
		return nil
	}
	if err != nil {
		return err
	}
	if text := now.MissingCluster(v.App, v.Cluster); text != "" {
		return fmt.Errorf("--app: %s; next: platypus apply FILE declares one", text)
	}
	return nil
}

// declareVM declares a vm and returns the index from which its placements count. A vm that is declared with the same
// values already is accepted.
func (cmd *command) declareVM(ctx context.Context, name intent.Name, v intent.VM) (since uint64, err error) {
	value, err := json.Marshal(v)
	if err != nil {
		return 0, err
	}
	key := cmd.tree.VM(name)
	desired, _ := change.Between(cmd.intentKey(key), nil, value)
	r := history.Request{Note: history.Note{Message: fmt.Sprintf("launch %s", name)}}
	r.Also, r.Judge = cmd.regionCheck(v.Region)
	commits, err := cmd.commit(ctx, []change.Change{desired}, r)
	if err == nil {
		return commits[0].Index, nil
	}
	if !errors.Is(err, history.ErrChanged) && !errors.Is(err, history.ErrUnchanged) && !errors.Is(err, store.ErrConflict) {
		return 0, err
	}
	there, found, err := cmd.store.Get(ctx, key, store.Default)
	if err != nil {
		return 0, err
	}
	have, problems := intent.Decode[intent.VM](key, there.Value)
	if !found || problems.Err() != nil || !reflect.DeepEqual(have, v) {
		return 0, fmt.Errorf("%s is declared already, and otherwise: %s; next: platypus release %s, or another name", name, there.Value, name)
	}
	cmd.infof("%s is declared already, with the same values", name)
	return 0, nil
}

// reportLaunch reports the result of a launch.
func (cmd *command) reportLaunch(name intent.Name, a placementResult) error {
	pending := a.pendingCount()
	if cmd.json {
		if a.rows == nil {
			a.rows = []vmRow{}
		}
		if err := cmd.printJSON("launch", map[string]any{"vm": name, "instances": a.rows, "pending": pending, "unanswered": a.unanswered}); err != nil {
			return err
		}
	} else if len(a.rows) > 0 {
		cmd.printVMs(a.rows)
	}
	timeout := cmd.flags.Duration("timeout")
	switch {
	case a.unanswered > 0:
		cmd.infof("no allocator said anything of %s within %s: is one running? It stays wished for; next: platypus status, platypus vms %s",
			plural(a.unanswered, "instance"), timeout, name)
	case pending > 0 && a.check == roomFound:
		cmd.infof("%s of %s pending: %s; by now there is room, and no allocator has found it within %s; next: platypus status, platypus vms %s",
			plural(pending, "instance"), name, firstReason(a.rows), timeout, name)
	case pending > 0:
		cmd.infof("%s of %s pending: %s", plural(pending, "instance"), name, firstReason(a.rows))
		cmd.infof("it stays wished for and is placed when there is room; next: platypus explain %s, platypus release %s", name, name)
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
