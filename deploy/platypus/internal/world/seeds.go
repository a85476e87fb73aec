package world

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/platypus-platform/platypus/intent"
	"github.com/platypus-platform/platypus/store"
)

// SeedPlacer is the agent that keeps seeds ready.
const SeedPlacer = "seed-placer"

// SeedRow is where one seed stands, over all nodes.
type SeedRow struct {
	Seed   intent.Name   `json:"seed"`
	Digest string        `json:"digest"` // of the module that is declared, 64 hexadecimal digits; "" when it is invalid
	Ready  int           `json:"ready"`  // nodes that have that module ready
	Wanted int           `json:"wanted"` // replicas, at least
	Nodes  []intent.Name `json:"nodes"`  // that have it ready, sorted
	Phase  string        `json:"phase"`
	Reason string        `json:"reason,omitempty"` // what hinders, "" when nothing does
}

// Converged reports whether enough replicas are ready.
func (r SeedRow) Converged() bool { return r.Phase == Converged }

// Seeds returns one row for each seed that is declared, sorted. What nodes have is read here, where there is any seed; a
// token that may not read it gets rows that say so.
func (w World) Seeds(ctx context.Context, s *store.Store) ([]SeedRow, error) {
	rows := []SeedRow{}
	var declared []intent.Pair
	for _, p := range w.Pairs {
		if name, ok := w.Tree.Seeds().Below(p.Key); ok && name != "" && !strings.Contains(name, "/") {
			declared = append(declared, p)
		}
	}
	if len(declared) == 0 {
		return rows, nil
	}
	pairs, _, err := s.List(ctx, w.Tree.Replicas(), store.Default)
	if err != nil && !errors.Is(err, store.ErrDenied) {
		return nil, err
	}
	replicas := map[string]map[intent.Name]intent.Replica{}
	for _, p := range pairs {
		below, _ := w.Tree.Replicas().Below(p.Key)
		seed, node, _ := strings.Cut(below, "/")
		var r intent.Replica
		if json.Unmarshal(p.Value, &r) != nil {
			continue
		}
		if replicas[seed] == nil {
			replicas[seed] = map[intent.Name]intent.Replica{}
		}
		replicas[seed][intent.Name(node)] = r
	}
	for _, p := range declared {
		name, _ := w.Tree.Seeds().Below(p.Key)
		row := w.seed(intent.Name(name), p, replicas[name])
		if err != nil {
			row.Phase, row.Reason = Pending, "the token may not read "+string(w.Tree.Replicas())+", where nodes say what they have"
		}
		rows = append(rows, row)
	}
	slices.SortFunc(rows, func(a, b SeedRow) int { return cmp.Compare(a.Seed, b.Seed) })
	return rows, nil
}

func (w World) seed(name intent.Name, p intent.Pair, replicas map[intent.Name]intent.Replica) SeedRow {
	r := SeedRow{Seed: name, Nodes: []intent.Name{}, Phase: Converged}
	seed, problems := intent.SeedOf("seeds/"+string(name), p.Value)
	r.Wanted, _ = seed.Replicas()
	if err := problems.Err(); err != nil {
		r.Phase, r.Reason = intent.PhaseInvalid, err.Error()
		return r
	}
	r.Digest = seed.Digest()
	for node, replica := range replicas {
		if replica.State == intent.ReplicaReady && replica.Digest == r.Digest {
			r.Nodes = append(r.Nodes, node)
		}
	}
	slices.Sort(r.Nodes)
	if r.Ready = len(r.Nodes); r.Ready < r.Wanted {
		r.Phase, r.Reason = w.hindrance(name, r)
	}
	return r
}

// hindrance is what keeps a seed from being ready on enough nodes: the worst that a living seed-placer says of it.
func (w World) hindrance(name intent.Name, r SeedRow) (phase, reason string) {
	takers, heavy := 0, 0
	for _, who := range w.placers() {
		takers++
		state, known := w.Reports[who].Subjects[string(name)]
		if weight := weightOf(state.Phase); known && weight > heavy {
			heavy, phase, reason = weight, state.Phase, string(who.Node)+": "+bareReason(state)
		}
	}
	switch {
	case takers == 0:
		return Silent, "no seed-placer is alive; start one: seed-placer --serve HOST:PORT"
	case heavy == 0:
		return Pending, fmt.Sprintf("%d of %d replicas; %s; next: platypus explain %s", r.Ready, r.Wanted, nodesAlive(takers), name)
	}
	return phase, reason
}

// placers are the seed-placers that are alive, sorted by node.
func (w World) placers() (all []Who) {
	for who := range w.Alive {
		if who.Agent == SeedPlacer {
			all = append(all, who)
		}
	}
	slices.SortFunc(all, func(a, b Who) int { return cmp.Compare(a.Node, b.Node) })
	return all
}

// weightOf says how much a phase hinders; 0 is not at all.
func weightOf(phase string) int {
	switch phase {
	case "", Converged:
		return 0
	case Failed, intent.PhaseQuarantined:
		return 3
	case intent.PhaseHeld, intent.PhaseInvalid:
		return 2
	}
	return 1
}

func bareReason(s intent.State) string {
	if s.Error != "" && !strings.Contains(s.Reason, s.Error) {
		return strings.TrimPrefix(s.Reason+": "+s.Error, ": ")
	}
	return s.Reason
}

func nodesAlive(n int) string {
	if n == 1 {
		return "1 node runs a seed-placer"
	}
	return fmt.Sprintf("%d nodes run a seed-placer", n)
}
