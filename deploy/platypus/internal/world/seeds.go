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

// SeedRow is the state of one seed over all nodes.
type SeedRow struct {
	Seed   intent.Name   `json:"seed"`
	Digest string        `json:"digest"` // of the declared module, 64 hexadecimal digits; "" if it is invalid
	Ready  int           `json:"ready"`  // nodes that have that module ready
	Wanted int           `json:"wanted"` // minimum number of replicas
	Nodes  []intent.Name `json:"nodes"`  // the nodes that have it ready, sorted
	Phase  string        `json:"phase"`
	Reason string        `json:"reason,omitempty"` // why it is not converged; "" if it is
}

// Converged reports whether enough replicas are ready.
func (r SeedRow) Converged() bool { return r.Phase == Converged }

// Seeds returns one row for each declared seed, sorted. It needs [ReadAll].
func (w Snapshot) Seeds() []SeedRow {
	rows := []SeedRow{}
	replicas := map[string]map[intent.Name]intent.Replica{}
	for _, p := range w.AgentRecords {
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
	for _, p := range w.pairsBelow(w.Tree.Seeds()) {
		name, _ := w.Tree.Seeds().Below(p.Key)
		if strings.Contains(name, "/") {
			continue
		}
		row := w.seed(intent.Name(name), p, replicas[name])
		if phase, reason, denied := w.unreadable(w.Tree.Replicas()); denied {
			row.Phase, row.Reason = phase, reason
		}
		rows = append(rows, row)
	}
	slices.SortFunc(rows, func(a, b SeedRow) int { return cmp.Compare(a.Seed, b.Seed) })
	return rows
}

// unreadable returns the state of what is unknown because the token may not read a prefix.
func (w Snapshot) unreadable(prefix intent.Prefix) (phase, reason string, denied bool) {
	if !slices.Contains(w.Denied, prefix) {
		return "", "", false
	}
	return Pending, "the token may not read " + string(prefix) + ", where agents write what they have", true
}

func (w Snapshot) seed(name intent.Name, p intent.Pair, replicas map[intent.Name]intent.Replica) SeedRow {
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
		r.Phase, r.Reason = w.shortageReason(name, r)
	}
	return r
}

// shortageReason says why a seed is not ready on enough nodes: the worst state that a live seed-placer reports.
func (w Snapshot) shortageReason(name intent.Name, r SeedRow) (phase, reason string) {
	takers := len(w.livePlacers())
	phase, reason = w.worstState(string(name))
	switch {
	case takers == 0:
		return Silent, noPlacer
	case phase == "":
		return Pending, fmt.Sprintf("%d of %d replicas; %s; next: platypus explain %s", r.Ready, r.Wanted, placersRunning(takers), name)
	}
	return phase, reason
}

const noPlacer = "no seed-placer is alive; start one: seed-placer --serve HOST:PORT"

// worstState returns the worst phase that live seed-placers report for a subject, or "" for none.
func (w Snapshot) worstState(subject string) (phase, reason string) {
	worstSeverity := 0
	for _, who := range w.livePlacers() {
		state, known := w.Reports[who].Subjects[subject]
		if weight := severity(state.Phase); known && weight > worstSeverity {
			worstSeverity, phase, reason = weight, state.Phase, string(who.Node)+": "+reasonWithError(state)
		}
	}
	return phase, reason
}

// livePlacers returns the seed-placers that are alive, sorted by node.
func (w Snapshot) livePlacers() (all []AgentID) {
	for who := range w.Alive {
		if who.Agent == SeedPlacer {
			all = append(all, who)
		}
	}
	slices.SortFunc(all, func(a, b AgentID) int { return cmp.Compare(a.Node, b.Node) })
	return all
}

// severity ranks phases; 0 means not a problem.
func severity(phase string) int {
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

func reasonWithError(s intent.State) string {
	if s.Error != "" && !strings.Contains(s.Reason, s.Error) {
		return strings.TrimPrefix(s.Reason+": "+s.Error, ": ")
	}
	return s.Reason
}

func placersRunning(n int) string {
	if n == 1 {
		return "1 node runs a seed-placer"
	}
	return fmt.Sprintf("%d nodes run a seed-placer", n)
}
