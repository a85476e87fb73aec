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
		name: "plan", usage: "show what files would change, in the store and on every host", args: "FILE…", min: 1, max: -1,
		text: `Compares the files with what is declared, member by member, and computes for each node what its agents would
fetch, open, close and restart, in the light of what they reported. Nothing is written. The index that it prints makes
apply refuse when anything was declared in between: platypus apply --check-index N FILE.
Exit code 0: nothing would change; 2: something would.`,
		examples: []string{"platypus plan slug.json", "platypus plan -o json intent/ > plan.json"},
		flags:    []cli.Flag{outputFlag()},
		run: func(ctx context.Context, sh *shell) error {
			p, err := sh.plan(ctx)
			if err != nil {
				return err
			}
			if sh.json {
				err = sh.printJSON("plan", p.document(sh))
			} else {
				p.show(sh)
				p.showIndex(sh)
			}
			if err == nil && len(p.changes) > 0 {
				err = exit(exitPending)
			}
			return err
		},
	}
}

// plan is what files would change, computed on one reading of the store.
type plan struct {
	now     world.Snapshot
	changes []change.Change
	effects []change.Effect
	found   []intentfile.Diagnostic // warnings
	risks   []string                // what is rarely meant; only apply looks for it
}

// plan reads the files and the store. Files with errors are refused.
func (sh *shell) plan(ctx context.Context) (plan, error) {
	files, err := sh.files()
	if err != nil {
		return plan{}, err
	}
	now, err := world.Read(ctx, sh.store, sh.tree)
	if err != nil {
		return plan{}, err
	}
	return sh.planEntries(now, files.Entries)
}

func (sh *shell) planEntries(now world.Snapshot, entries []intentfile.Entry) (plan, error) {
	entries = slices.Clone(entries)
	for i, e := range entries {
		entries[i].Value = change.KeepVersions(now, e.Key, e.Value)
	}
	return sh.planWith(now, entries, "in the files", "fix them and try again", change.Changes)
}

// maxProblems bounds what verbs show of problems that they only refuse, not look for.
const maxProblems = 20

// planWith plans entries; the words say where they come from and what to do about a mistake in them.
func (sh *shell) planWith(now world.Snapshot, entries []intentfile.Entry, where, next string, changes func(world.Snapshot, []world.Edit) []change.Change) (plan, error) {
	p := plan{now: now, found: problems(entries, now)}
	few := p.found[:min(len(p.found), maxProblems)]
	showProblems(sh.err, style{colour: colourful(sh.err)}, few)
	if more := len(p.found) - len(few); more > 0 {
		sh.say("… and %d more: platypus validate FILE shows all", more)
	}
	if errs, _ := count(p.found); errs > 0 {
		return plan{}, fmt.Errorf("%s %s: nothing was written; %s", plural(errs, "error"), where, next)
	}
	p.changes = changes(now, edits(entries))
	p.effects = change.Effects(now, now.Apply(edits(entries)))
	return p, nil
}

func (p plan) document(sh *shell) map[string]any {
	document := map[string]any{"store": sh.store.Address(), "index": p.now.Index, "changes": p.changes, "effects": p.effects,
		"problems": plain(p.found)}
	if len(p.risks) > 0 {
		document["risks"] = p.risks
	}
	return document
}

func (p plan) show(sh *shell) {
	if len(p.changes) == 0 {
		sh.say("nothing would change: all of it is declared already (index %d)", p.now.Index)
		return
	}
	for _, c := range p.changes {
		sh.showChange(c)
	}
	p.showEffects(sh)
}

// showIndex tells how to write exactly what was shown.
func (p plan) showIndex(sh *shell) {
	if len(p.changes) > 0 {
		sh.say("index %d of %s; to write exactly this: platypus apply --check-index %d FILE", p.now.Index, sh.store.Address(), p.now.Index)
	}
}

func (p plan) showEffects(sh *shell) {
	if len(p.effects) == 0 {
		sh.say("no agent has anything to do for it")
		return
	}
	sh.print("")
	rows := make([][]string, 0, len(p.effects))
	for _, e := range p.effects {
		rows = append(rows, []string{string(e.Node), e.Agent, e.Action, string(e.App), e.What, e.Reason})
	}
	sh.printTable([]string{"NODE", "AGENT", "ACTION", "APP", "WHAT", "REASON"}, rows)
}
