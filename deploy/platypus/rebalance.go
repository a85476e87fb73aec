package main

import (
	"context"
	"errors"
	"fmt"

	"github.com/urfave/cli/v2"

	"github.com/platypus-platform/platypus/intent/fleet"
	"github.com/platypus-platform/platypus/store"
)

func rebalanceVerb() verb {
	return verb{
		name: "rebalance", usage: "move vms to where they are better off", args: " ", minArgs: 0, maxArgs: 0,
		text: `Proposes moves within regions: away from machines that hold more than they have, then to where the region's policy would
rather have a vm, when that is clearly better. Nothing does this by itself. Vms with an app are moved only off a machine
that is too small, for a move restarts the app. With --dry-run nothing is written, and the exit code is 2 when there is something to move.`,
		examples: []string{"platypus rebalance --dry-run", "platypus rebalance --max-moves 5 --yes"},
		flags: []cli.Flag{boolFlag("dry-run", "only show the moves"), &cli.IntFlag{Name: "max-moves", Usage: "most moves of this run", Value: 10},
			yesFlag(), outputFlag()},
		run: rebalance,
	}
}

// move is one proposed move.
type move struct {
	Instance string     `json:"instance"`
	From     fleet.Spot `json:"from"`
	To       fleet.Spot `json:"to"`
	Why      string     `json:"why"`
	Done     bool       `json:"done"`
	Error    string     `json:"error,omitempty"`
}

func rebalance(ctx context.Context, cmd *command) error {
	most := cmd.flags.Int("max-moves")
	if most < 1 {
		return usage("--max-moves must be 1 or more")
	}
	f, err := cmd.readFleet(ctx)
	if err != nil {
		return err
	}
	steps, moves := fleet.Rebalance(f, most), []move{}
	for _, s := range steps {
		moves = append(moves, move{Instance: s.Instance.String(), From: s.From, To: s.To, Why: s.Why})
	}
	if !cmd.json {
		var cells [][]string
		for _, m := range moves {
			cells = append(cells, []string{m.Instance, m.From.String(), m.To.String(), m.Why})
		}
		if len(cells) > 0 {
			cmd.printTable([]string{"VM", "FROM", "TO", "WHY"}, cells)
		} else {
			cmd.infof("nothing would be clearly better off elsewhere")
		}
	}
	dry := cmd.flags.Bool("dry-run")
	if !dry && len(steps) > 0 {
		if err := cmd.askConfirmation(fmt.Sprintf("move %s?", plural(len(steps), "instance"))); err != nil {
			return err
		}
		if err := cmd.moveAll(ctx, f, steps, moves); err != nil {
			return err
		}
	}
	if cmd.json {
		if err := cmd.printJSON("rebalance", map[string]any{"moves": moves, "dry_run": dry}); err != nil {
			return err
		}
	}
	for _, m := range moves {
		if !m.Done {
			return exit(exitPending)
		}
	}
	return nil
}

// moveAll commits each move in its own transaction, against the values that were read: an instance that changed
// meanwhile stays.
func (cmd *command) moveAll(ctx context.Context, f *fleet.Fleet, steps []fleet.Step, moves []move) error {
	for i, s := range steps {
		draft := fleet.NewDraft(cmd.tree, f.Look())
		err := draft.Add(s)
		var ops []fleet.Op
		if err == nil {
			ops, err = draft.Ops()
		}
		if err == nil {
			changes := []store.Change{}
			for _, op := range ops {
				changes = append(changes, store.Change{Verb: store.Verb(op.Verb), Key: op.Key, Value: op.Value, Index: op.Index})
			}
			_, err = cmd.store.Commit(ctx, changes)
		}
		switch {
		case err == nil:
			moves[i].Done = true
			cmd.infof("%s moved to %s", s.Instance, s.To)
		case errors.Is(err, store.ErrConflict), errors.Is(err, fleet.ErrStale):
			moves[i].Error = err.Error()
			cmd.infof("%s stays: %v", s.Instance, err)
		default:
			return err
		}
		if f, err = cmd.readFleet(ctx); err != nil {
			return err
		}
	}
	return nil
}
