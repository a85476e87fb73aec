package main

import (
	"context"
	"slices"
	"strings"

	"github.com/platypus-platform/platypus/deploy/platypus/internal/inventory"
	"github.com/platypus-platform/platypus/deploy/platypus/internal/world"
	"github.com/platypus-platform/platypus/intent"
	"github.com/platypus-platform/platypus/store"
)

// edits merges the records into the declared values. A record that cannot be declared becomes a problem.
func (in *importJob) edits() (edits []world.Edit) {
	homes := in.machineKeys()
	kept := in.read.Records[:0:0]
	for _, r := range in.read.Records {
		_, name, isMachine := strings.Cut(strings.TrimPrefix(r.Key, "machines/"), "/")
		if home := homes[name]; isMachine && home != "" && home != r.Key {
			in.refuse(r, "machine "+name+" is declared as "+home+", and a machine is in one region: take that away first")
			continue
		}
		pair, exists := in.snapshot.Get(r.Key)
		before := pair.Value
		if exists && before == nil {
			before = []byte{}
		}
		value, err := inventory.Merge(before, r)
		if err == nil {
			err = intent.Check(r.Key, value).Err()
		}
		if err != nil {
			in.refuse(r, r.Key+": "+err.Error())
			continue
		}
		kept = append(kept, r)
		edits = append(edits, world.Edit{Key: r.Key, Value: value})
	}
	in.read.Records = kept
	return edits
}

func (in *importJob) refuse(r inventory.Record, why string) {
	in.read.Errors++
	in.read.Problems = append(in.read.Problems, inventory.Problem{Line: r.Line, Col: 1, Text: why})
}

// machineKeys returns the keys of the declared machines, by name.
func (in *importJob) machineKeys() map[string]string {
	homes := map[string]string{}
	if in.kind == "machines" {
		for _, below := range in.declaredNames("machines/") {
			if _, name, ok := strings.Cut(below, "/"); ok {
				homes[name] = "machines/" + below
			}
		}
	}
	return homes
}

// removals returns the edits that remove the keys that the file does not name and nothing depends on. An unreadable row
// may name any of them: then nothing is removed.
func (in *importJob) removals(ctx context.Context) (edits []world.Edit, err error) {
	if in.read.Errors > 0 {
		in.cmd.infof("nothing is taken away: a row that cannot be read may be about it")
		return nil, nil
	}
	held, err := in.removalBlockers(ctx)
	if err != nil {
		return nil, err
	}
	named := map[string]bool{}
	for _, r := range in.read.Records {
		named[r.Key] = true
	}
	for _, below := range in.declaredNames(in.kind + "/") {
		key := in.kind + "/" + below
		switch why := held[below]; {
		case named[key]:
		case why != "":
			in.cmd.infof("note: %s stays: %s", key, why)
		default:
			edits = append(edits, world.Edit{Key: key})
		}
	}
	slices.SortFunc(edits, func(a, b world.Edit) int { return strings.Compare(a.Key, b.Key) })
	return edits, nil
}

// removalBlockers says why a region or machine cannot be removed, by its key below its kind. A vm placed between this
// read and the write is not lost: its ledger stays, and is shown as that of a machine without a record.
func (in *importJob) removalBlockers(ctx context.Context) (map[string]string, error) {
	why := map[string]string{}
	if in.kind == "regions" {
		for _, below := range in.declaredNames("machines/") {
			region, _, _ := strings.Cut(below, "/")
			why[region] = "machines are declared in it"
		}
		return why, nil
	}
	ledgers, _, err := in.cmd.store.List(ctx, in.cmd.tree.Ledgers(), store.Consistent)
	for _, p := range ledgers {
		below, _ := in.cmd.tree.Ledgers().Below(p.Key)
		ledger, problems := intent.Decode[intent.Ledger](p.Key, p.Value)
		if problems.Err() != nil || len(ledger.Entries) > 0 {
			why[below] = "vms are on it: platypus drain MACHINE empties it"
		}
	}
	return why, err
}
