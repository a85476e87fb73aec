package world

import (
	"context"
	"encoding/json"
	"errors"
	"strings"

	"github.com/platypus-platform/platypus/intent"
	"github.com/platypus-platform/platypus/store"
)

// Read reads intent, the assignments of allocators, the reports and the alive keys.
func Read(ctx context.Context, s *store.Store, tree intent.Tree) (Snapshot, error) {
	w, err := ReadIntent(ctx, s, tree)
	if err != nil {
		return Snapshot{}, err
	}
	statuses, _, err := s.List(ctx, tree.Statuses(), store.Default)
	if err != nil {
		return Snapshot{}, err
	}
	alive, _, err := s.List(ctx, tree.Alives(), store.Default)
	if err != nil {
		return Snapshot{}, err
	}
	w.addReports(statuses, alive)
	return w, nil
}

// ReadAll reads what [Read] reads and, for the declared kinds, what agents wrote about seeds, blobs and vms.
func ReadAll(ctx context.Context, s *store.Store, tree intent.Tree) (Snapshot, error) {
	w, err := Read(ctx, s, tree)
	if err != nil {
		return Snapshot{}, err
	}
	for _, of := range []struct {
		declared intent.Prefix
		written  []intent.Prefix
	}{
		{tree.Seeds(), []intent.Prefix{tree.Replicas()}},
		{tree.Blobs(), []intent.Prefix{tree.Holders()}},
		{tree.VMs(), []intent.Prefix{tree.PlacedVMs(), tree.Ledgers()}},
	} {
		if len(w.pairsBelow(of.declared)) == 0 {
			continue
		}
		for _, prefix := range of.written {
			pairs, err := w.readAllowed(ctx, s, prefix)
			if err != nil {
				return Snapshot{}, err
			}
			w.AgentRecords = append(w.AgentRecords, pairs...)
		}
	}
	return w, nil
}

// ReadIntent reads intent and the assignments of allocators; the token needs no access to reports.
func ReadIntent(ctx context.Context, s *store.Store, tree intent.Tree) (Snapshot, error) {
	w := Snapshot{Tree: tree, Reports: map[AgentID]intent.Report{}, Alive: map[AgentID]bool{}}
	for _, prefix := range tree.Declared() {
		pairs, index, err := s.List(ctx, prefix, store.Consistent)
		if err != nil {
			return Snapshot{}, err
		}
		if len(pairs) > 0 { // the index of an empty prefix is that of the whole store, which moves by itself
			w.Index = max(w.Index, index)
		}
		w.Pairs = append(w.Pairs, pairs...)
	}
	var err error
	w.Placed, err = w.readAllowed(ctx, s, tree.PlacedNodes())
	return w, err
}

// readAllowed reads a prefix that the token may lack, and records a denial, because denied differs from empty.
func (w *Snapshot) readAllowed(ctx context.Context, s *store.Store, prefix intent.Prefix) ([]intent.Pair, error) {
	pairs, _, err := s.List(ctx, prefix, store.Default)
	if errors.Is(err, store.ErrDenied) {
		w.Denied = append(w.Denied, prefix)
		return nil, nil
	}
	return pairs, err
}

func (w Snapshot) addReports(statuses, alive []intent.Pair) {
	for _, p := range statuses {
		below, _ := w.Tree.Statuses().Below(p.Key)
		agent, node, ok := strings.Cut(below, "/")
		var r intent.Report
		if ok && json.Unmarshal(p.Value, &r) == nil {
			w.Reports[AgentID{agent, intent.Name(node)}] = r
		}
	}
	for _, p := range alive {
		below, _ := w.Tree.Alives().Below(p.Key)
		if node, agent, ok := strings.Cut(below, "/"); ok {
			w.Alive[AgentID{agent, intent.Name(node)}] = true
		}
	}
}
