package world

import (
	"cmp"
	"encoding/json"
	"fmt"
	"slices"
	"strings"

	"github.com/platypus-platform/platypus/intent"
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

// Seeds returns one row for each seed that is declared, sorted. It needs the evidence of [ReadAll].
func (w World) Seeds() []SeedRow {
	rows := []SeedRow{}
	replicas := map[string]map[intent.Name]intent.Replica{}
	for _, p := range w.Evidence {
		below, ok := w.Tree.Replicas().Below(p.Key)
		seed, node, _ := strings.Cut(below, "/")
		var r intent.Replica
		if !ok || json.Unmarshal(p.Value, &r) != nil {
			continue
		}
		if replicas[seed] == nil {
			replicas[seed] = map[intent.Name]intent.Replica{}
		}
		replicas[seed][intent.Name(node)] = r
	}
	for _, p := range w.below(w.Tree.Seeds()) {
		name, _ := w.Tree.Seeds().Below(p.Key)
		if strings.Contains(name, "/") {
			continue
		}
		row := w.seed(intent.Name(name), p, replicas[name])
		if phase, reason, denied := w.unread(w.Tree.Replicas()); denied {
			row.Phase, row.Reason = phase, reason
		}
		rows = append(rows, row)
	}
	slices.SortFunc(rows, func(a, b SeedRow) int { return cmp.Compare(a.Seed, b.Seed) })
	return rows
}

// unread is the state of what cannot be known because the token may not read a prefix.
func (w World) unread(prefix intent.Prefix) (phase, reason string, denied bool) {
	if !slices.Contains(w.Denied, prefix) {
		return "", "", false
	}
	return Pending, "the token may not read " + string(prefix) + ", where agents write what they have", true
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
	takers := len(w.placers())
	phase, reason = w.worst(string(name))
	switch {
	case takers == 0:
		return Silent, noPlacer
	case phase == "":
		return Pending, fmt.Sprintf("%d of %d replicas; %s; next: platypus explain %s", r.Ready, r.Wanted, nodesAlive(takers), name)
	}
	return phase, reason
}

const noPlacer = "no seed-placer is alive; start one: seed-placer --serve HOST:PORT"

// worst is the phase that hinders a subject most among what living seed-placers report of it, or "" for none.
func (w World) worst(subject string) (phase, reason string) {
	heavy := 0
	for _, who := range w.placers() {
		state, known := w.Reports[who].Subjects[subject]
		if weight := weightOf(state.Phase); known && weight > heavy {
			heavy, phase, reason = weight, state.Phase, string(who.Node)+": "+bareReason(state)
		}
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
