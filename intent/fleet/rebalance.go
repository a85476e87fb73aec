package fleet

import (
	"cmp"
	"slices"

	"github.com/platypus-platform/platypus/intent"
)

// gain is how much better its new place must be for a vm to be moved, of [Best]: what is hardly better is left alone, so
// that two runs one after the other do not undo each other.
const gain = Best / 10

// Rebalance proposes at most so many moves within regions: first away from machines that hold more than they have, then
// to where the region's policy would rather have an instance. It moves no instance that brings an app unless its machine
// is too small: that would restart it.
func Rebalance(f *Fleet, most int) []Step {
	r := &rebalancing{fleet: f, room: NewRoom(f), most: most}
	for _, m := range f.Machines {
		if m.Overcommitted() && m.Index > 0 {
			r.relieve(m)
		}
	}
	r.improve()
	return r.steps
}

type rebalancing struct {
	fleet *Fleet
	room  *Room
	most  int
	steps []Step
}

// relieve moves instances off a machine, the smallest that help first, until it holds no more than it has.
func (r *rebalancing) relieve(m *Machine) {
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

// move proposes a better place, if there is one that scores more than the least given.
func (r *rebalancing) move(m *Machine, e intent.Entry, least int64, why string) bool {
	v, declared := r.fleet.VM(VMOf(e.VM))
	i, err := intent.ParseInstance(e.VM)
	if len(r.steps) >= r.most || !declared || v.Fault != "" || err != nil || e.Phase != intent.PhasePlaced || e.Share() != v.Spec.Share() {
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

// improve moves instances to where they would be placed today, the ones that are worst off first. An instance is moved
// once at most.
func (r *rebalancing) improve() {
	type seat struct {
		m     *Machine
		e     intent.Entry
		score int64
	}
	var seats []seat
	for _, m := range r.fleet.Machines {
		h := r.room.Host(m.Spot)
		if h.Shut() != Fits {
			continue
		}
		for _, e := range h.Lodged {
			if e.App == "" {
				seats = append(seats, seat{m, e, r.score(h, e)})
			}
		}
	}
	slices.SortStableFunc(seats, func(a, b seat) int {
		return cmp.Or(cmp.Compare(a.score, b.score), a.m.Spot.Compare(b.m.Spot), cmp.Compare(a.e.VM, b.e.VM))
	})
	moved := map[string]bool{}
	received := map[Spot]bool{}
	for _, s := range r.steps {
		moved[s.Entry.VM], received[s.To] = true, true
	}
	for _, s := range seats {
		if moved[s.e.VM] || received[s.m.Spot] {
			continue // what others were moved to is filling up: its own stay
		}
		if r.move(s.m, s.e, r.score(r.room.Host(s.m.Spot), s.e)+gain, "it is better off there") {
			moved[s.e.VM] = true
			received[r.steps[len(r.steps)-1].To] = true
		}
	}
}

// score is what the place of an entry is worth to it: what it would score if it were placed there now.
func (r *rebalancing) score(h *Host, e intent.Entry) int64 {
	return Score(r.fleet.Regions[h.Region].Policy, h.Spec.Usable(), h.Left.Plus(e.Share()), e.Share())
}
