package main

import (
	"context"
	"fmt"
	"slices"

	"github.com/urfave/cli/v2"

	"github.com/platypus-platform/platypus/deploy/platypus/internal/change"
	"github.com/platypus-platform/platypus/deploy/platypus/internal/intentfile"
	"github.com/platypus-platform/platypus/deploy/platypus/internal/world"
)

func planVerb() verb {
	return verb{
		name: "plan", usage: "show what files would change, in the store and on every host", args: "FILE…", minArgs: 1, maxArgs: -1,
		text: `Compares the files with what is declared, member by member, and computes for each node what its agents would
fetch, open, close and restart, in the light of what they reported. Nothing is written. The index that it prints makes
apply refuse when anything was declared in between: platypus apply --check-index N FILE.
Exit code 0: nothing would change; 2: something would.`,
		examples: []string{"platypus plan slug.json", "platypus plan -o json intent/ > plan.json"},
		flags:    []cli.Flag{outputFlag()},
		run: func(ctx context.Context, cmd *command) error {
			p, err := cmd.plan(ctx)
			if err != nil {
				return err
			}
			if cmd.json {
				err = cmd.printJSON("plan", p.document(cmd))
			} else {
				p.print(cmd)
				p.printIndex(cmd)
			}
			if err == nil && len(p.changes) > 0 {
				err = exit(exitPending)
			}
			return err
		},
	}
}

// plan is what files would change, computed from one snapshot of the store.
type plan struct {
	snapshot    world.Snapshot
	changes     []change.Change
	effects     []change.Effect
	diagnostics []intentfile.Diagnostic // warnings
	risks       []string                // changes that are rarely intended; only apply checks them
}

// plan reads the files and the store. It refuses files with errors.
func (cmd *command) plan(ctx context.Context) (plan, error) {
	files, err := cmd.readFiles()
	if err != nil {
		return plan{}, err
	}
	now, err := world.Read(ctx, cmd.store, cmd.tree)
	if err != nil {
		return plan{}, err
	}
	return cmd.planEntries(now, files.Entries)
}

func (cmd *command) planEntries(now world.Snapshot, entries []intentfile.Entry) (plan, error) {
	return cmd.planChecked(now, completed(now, entries), "in the files", "fix them and try again", change.Changes)
}

// completed is the entries with what the store keeps where they leave it out.
func completed(now world.Snapshot, entries []intentfile.Entry) []intentfile.Entry {
	entries = slices.Clone(entries)
	for i, e := range entries {
		entries[i].Value = change.KeepVersions(now, e.Key, e.Value)
	}
	return entries
}

// maxProblems limits the problems that a refusal prints.
const maxProblems = 20

// planChecked plans entries; where and next complete the message about errors in them.
func (cmd *command) planChecked(now world.Snapshot, entries []intentfile.Entry, where, next string, changes func(world.Snapshot, []world.Edit) []change.Change) (plan, error) {
	p := plan{snapshot: now, diagnostics: diagnose(entries, now)}
	few := p.diagnostics[:min(len(p.diagnostics), maxProblems)]
	printDiagnostics(cmd.errOut, style{colour: useColour(cmd.errOut)}, few)
	if more := len(p.diagnostics) - len(few); more > 0 {
		cmd.infof("… and %d more: platypus validate FILE shows all", more)
	}
	if errs, _ := count(p.diagnostics); errs > 0 {
		return plan{}, fmt.Errorf("%s %s: nothing was written; %s", plural(errs, "error"), where, next)
	}
	p.changes = changes(now, edits(entries))
	p.effects = change.Effects(now, now.Apply(edits(entries)))
	return p, nil
}

func (p plan) document(cmd *command) map[string]any {
	document := map[string]any{"store": cmd.store.Address(), "index": p.snapshot.Index, "changes": p.changes, "effects": p.effects,
		"problems": diagnosticsJSON(p.diagnostics)}
	if len(p.risks) > 0 {
		document["risks"] = p.risks
	}
	return document
}

func (p plan) print(cmd *command) {
	if len(p.changes) == 0 {
		cmd.infof("nothing would change: all of it is declared already (index %d)", p.snapshot.Index)
		return
	}
	for _, c := range p.changes {
		cmd.printChange(c)
	}
	p.printEffects(cmd)
}

// printIndex prints the command that writes exactly this plan.
func (p plan) printIndex(cmd *command) {
	if len(p.changes) > 0 {
		cmd.infof("index %d of %s; to write exactly this: platypus apply --check-index %d FILE", p.snapshot.Index, cmd.store.Address(), p.snapshot.Index)
	}
}

func (p plan) printEffects(cmd *command) {
	if len(p.effects) == 0 {
		cmd.infof("no agent has anything to do for it")
		return
	}
	cmd.printf("")
	rows := make([][]string, 0, len(p.effects))
	for _, e := range p.effects {
		rows = append(rows, []string{string(e.Node), e.Agent, e.Action, string(e.App), e.What, e.Reason})
	}
	cmd.printTable([]string{"NODE", "AGENT", "ACTION", "APP", "WHAT", "REASON"}, rows)
}
