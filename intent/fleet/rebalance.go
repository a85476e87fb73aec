package fleet

import (
	"cmp"
	"slices"

	"github.com/platypus-platform/platypus/intent"
)

// minGain is the score that a move must gain, so that two runs do not undo each other.
const minGain = Best / 10

// Rebalance proposes at most that many moves within regions: first off overcommitted machines, then to machines that
// the region's policy prefers. It moves instances with an app only off overcommitted machines: a move restarts the
// app.
func Rebalance(f *Fleet, most int) []Step {
	r := &rebalancer{fleet: f, room: NewRoom(f), maxMoves: most}
	for _, m := range f.Machines {
		if m.Overcommitted() && m.Index > 0 {
			r.drain(m)
		}
	}
	r.improve()
	return r.steps
}

type rebalancer struct {
	fleet    *Fleet
	room     *Room
	maxMoves int
	steps    []Step
}

// drain moves instances off a machine, smallest first, until it is no longer overcommitted.
func (r *rebalancer) drain(m *Machine) {
	entries := slices.Clone(m.Ledger.Entries)
	slices.SortStableFunc(entries, func(a, b intent.Entry) int {
		return cmp.Or(cmp.Compare(a.Cores, b.Cores), cmp.Compare(a.Memory, b.Memory), cmp.Compare(a.VM, b.VM))
	})
	for _, e := range entries {
		left := r.room.Host(m.Spot).Left
		if left.Cores >= 0 && left.Memory >= 0 {
			return
		}
		r.move(m, e, -1, "its machine holds more than it has")
	}
}

// move proposes a move to the best machine, if that scores more than least.
func (r *rebalancer) move(m *Machine, e intent.Entry, least int64, why string) bool {
	v, declared := r.fleet.VM(VMOf(e.VM))
	i, err := intent.ParseInstance(e.VM)
	if len(r.steps) >= r.maxMoves || !declared || v.Fault != "" || err != nil || e.Phase != intent.PhasePlaced || e.Share() != v.Spec.Share() {
		return false
	}
	want := WantOf(v)
	want.Avoid, want.Regions = m.Spot, intent.Regions{m.Region}
	attempt := r.fleet.Placements[e.VM].Attempt + 1
	c, ok := r.room.Choose(&want, Seed(i, attempt))
	if !ok || c.Score <= least {
		return false
	}
	to := e
	to.Intent = v.Index
	s := Step{Verb: Move, Instance: i, Entry: to, From: m.Spot, To: c.Spot, Attempt: attempt, Why: why}
	if e.App != "" {
		s.Leaves = intent.PhaseLeaving
	}
	r.room.Apply(s)
	r.steps = append(r.steps, s)
	return true
}

// improve moves instances to better machines, the lowest scores first, each at most once.
func (r *rebalancer) improve() {
	type placedEntry struct {
		m     *Machine
		e     intent.Entry
		score int64
	}
	var candidates []placedEntry
	for _, m := range r.fleet.Machines {
		h := r.room.Host(m.Spot)
		if h.Shut() != Fits {
			continue
		}
		for _, e := range h.Lodged {
			if e.App == "" {
				candidates = append(candidates, placedEntry{m, e, r.score(h, e)})
			}
		}
	}
	slices.SortStableFunc(candidates, func(a, b placedEntry) int {
		return cmp.Or(cmp.Compare(a.score, b.score), a.m.Spot.Compare(b.m.Spot), cmp.Compare(a.e.VM, b.e.VM))
	})
	moved := map[string]bool{}
	received := map[Spot]bool{}
	for _, s := range r.steps {
		moved[s.Entry.VM], received[s.To] = true, true
	}
	for _, s := range candidates {
		if moved[s.e.VM] || received[s.m.Spot] {
			continue // a receiving machine fills up: its own instances stay
		}
		if r.move(s.m, s.e, r.score(r.room.Host(s.m.Spot), s.e)+minGain, "it is better off there") {
			moved[s.e.VM] = true
			received[r.steps[len(r.steps)-1].To] = true
		}
	}
}

// score is the score of the current place, as if the entry were placed there now.
func (r *rebalancer) score(h *Host, e intent.Entry) int64 {
	return Score(r.fleet.Regions[h.Region].Policy, h.Spec.Usable(), h.Left.Plus(e.Share()), e.Share())
}
