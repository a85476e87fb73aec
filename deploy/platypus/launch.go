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
		name: "launch", usage: "wish for a share of a machine, and say which one it got", args: "[NAME]", min: 0, max: 1,
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

func launch(ctx context.Context, sh *shell) error {
	v, err := sh.vmWanted()
	if err != nil {
		return err
	}
	name, err := sh.vmName()
	if err != nil {
		return err
	}
	if err := sh.knownCluster(ctx, v); err != nil {
		return err
	}
	since, err := sh.wishFor(ctx, name, v)
	if err != nil {
		return err
	}
	if sh.dry() {
		return nil // it is declared already: there is nothing to write, and nothing to wait for
	}
	if sh.flags.Bool("no-wait") {
		sh.say("%s is declared; next: platypus vms %s", name, name)
		if sh.json {
			return sh.printJSON("launch", map[string]any{"vm": name, "instances": []vmRow{}})
		}
		sh.print("%s", name)
		return nil
	}
	a, err := sh.awaitPlacement(ctx, name, v, since)
	if err != nil {
		return err
	}
	return sh.launched(name, a)
}

// knownCluster refuses a vm that brings an app which is not declared: it would be placed and nothing would run.
func (sh *shell) knownCluster(ctx context.Context, v intent.VM) error {
	if v.App == "" {
		return nil
	}
	now, err := world.ReadIntent(ctx, sh.store, sh.tree)
	if errors.Is(err, store.ErrDenied) {
		sh.say("note: the token may not read intent, so whether %s is declared in %s was not checked", v.App, v.Cluster)
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

// wishFor declares a vm, and returns the index from which on there is something to say of it. One that is declared with
// the same values already is none the worse for it.
func (sh *shell) wishFor(ctx context.Context, name intent.Name, v intent.VM) (since uint64, err error) {
	value, err := json.Marshal(v)
	if err != nil {
		return 0, err
	}
	key := sh.tree.VM(name)
	wish, _ := change.Between(sh.below(key), nil, value)
	r := history.Request{Note: history.Note{Message: fmt.Sprintf("launch %s", name)}}
	r.Also, r.Judge = sh.judgeRegions(v.Region)
	commits, err := sh.commit(ctx, []change.Change{wish}, r)
	if err == nil {
		return commits[0].Index, nil
	}
	if !errors.Is(err, history.ErrChanged) && !errors.Is(err, history.ErrUnchanged) && !errors.Is(err, store.ErrConflict) {
		return 0, err
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

// launched tells what became of a launch.
func (sh *shell) launched(name intent.Name, a answer) error {
	pending := a.pending()
	if sh.json {
		if a.rows == nil {
			a.rows = []vmRow{}
		}
		if err := sh.printJSON("launch", map[string]any{"vm": name, "instances": a.rows, "pending": pending, "unanswered": a.open}); err != nil {
			return err
		}
	} else if len(a.rows) > 0 {
		sh.printVMs(a.rows)
	}
	timeout := sh.flags.Duration("timeout")
	switch {
	case a.open > 0:
		sh.say("no allocator said anything of %s within %s: is one running? It stays wished for; next: platypus status, platypus vms %s",
			plural(a.open, "instance"), timeout, name)
	case pending > 0 && a.doubt == roomThere:
		sh.say("%s of %s pending: %s; by now there is room, and no allocator has found it within %s; next: platypus status, platypus vms %s",
			plural(pending, "instance"), name, firstReason(a.rows), timeout, name)
	case pending > 0:
		sh.say("%s of %s pending: %s", plural(pending, "instance"), name, firstReason(a.rows))
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
