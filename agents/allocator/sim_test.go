package main

import (
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/platypus-platform/platypus/intent"
	"github.com/platypus-platform/platypus/intent/fleet"
)

// TestFewConflicts lets four allocators work at once, on a clock of its own: what each of them sees is up to half a
// second old, a transaction takes up to two seconds, and now and then one of them is held up for some seconds, by a machine
// that is busy. Less than a tenth of their transactions may be refused, and everything gets its place. BenchmarkConflicts
// has the figure of real ones.
func TestFewConflicts(t *testing.T) {
	commits, conflicts := 0, 0
	for seed := range uint64(6) {
		s := newSimulation(rand.New(rand.NewPCG(seed, 1)), 4)
		s.run(t)
		commits, conflicts = commits+s.commits, conflicts+s.conflicts
	}
	t.Logf("%d of %d transactions were refused", conflicts, commits)
	if conflicts*10 >= commits {
		t.Errorf("%d of %d transactions were refused, and the bar is a tenth", conflicts, commits)
	}
}

// simulation is a store, and allocators that see it late.
type simulation struct {
	*rand.Rand
	world              *world
	now                time.Time
	past               []*world // the store at each tick
	members            []*member
	commits, conflicts int
}

// tick is the simulation's grain of time.
const tick = 50 * time.Millisecond

// member is an allocator of the simulation.
type member struct {
	name   intent.Name
	turn   *turn
	stalls int              // ticks for which it does nothing yet
	own    map[string]value // what it wrote, which it knows at once
	tick   int              // of what it sees
	seen   *fleet.Fleet     // what it saw last, and of which state
	of     [2]uint64
	knows  uint64 // the store's index when it last wrote or was refused
	heard  uint64 // index of the newest ledger that it has seen
	flying []flight
}

// flight is a transaction under way.
type flight struct {
	step  fleet.Step
	view  *fleet.Fleet
	began time.Time
	lands int // ticks from now
}

func newSimulation(r *rand.Rand, many int) *simulation {
	s := &simulation{Rand: r, world: &world{kv: map[string]value{}}, now: time.Unix(1e9, 0)}
	for n := range 20 {
		s.world.put(tree.Machine(intent.Name(fmt.Sprintf("R%d", n%5)), intent.Name(fmt.Sprintf("m%d", n))), `{"cores":32,"memory":"2TB"}`)
	}
	for n := range many {
		name := intent.Name(fmt.Sprintf("a%d", n))
		s.members = append(s.members, &member{name: name, turn: newTurn(name, func() {}), own: map[string]value{}})
	}
	return s
}

func (s *simulation) run(t *testing.T) {
	const wishes = 60
	for n := 0; ; n++ {
		if n < 10*wishes && n%10 == 0 {
			s.world.put(tree.VM(intent.Name(fmt.Sprintf("vm%d", n/10))), fmt.Sprintf(`{"region":"R%d","cores":1,"memory":"8GB"}`, s.IntN(5)))
		}
		s.now = s.now.Add(tick)
		if len(s.past) > 0 && s.past[len(s.past)-1].index == s.world.index {
			s.past = append(s.past, s.past[len(s.past)-1])
		} else {
			s.past = append(s.past, &world{kv: maps.Clone(s.world.kv), index: s.world.index})
		}
		for _, m := range s.members {
			s.act(m)
		}
		if n >= 10*wishes && n%20 == 0 && len(s.world.holding()) == wishes {
			return
		}
		if n > 100*wishes {
			t.Fatalf("%d of %d have a place after %s", len(s.world.holding()), wishes, time.Duration(n)*tick)
		}
	}
}

// act is what an allocator does in one tick.
func (s *simulation) act(m *member) {
	if m.stalls > 0 {
		m.stalls--
		return
	}
	if s.IntN(400) == 0 {
		m.stalls = 20 + s.IntN(100)
	}
	flying := m.flying
	m.flying = nil
	for _, f := range flying {
		if f.lands--; f.lands > 0 {
			m.flying = append(m.flying, f)
			continue
		}
		s.land(m, f)
	}
	view := s.view(m)
	d, a := s.world.view(view)
	a.Moving = map[string]fleet.Step{}
	for _, f := range m.flying {
		a.Moving[f.step.Instance.String()] = f.step
	}
	peers := make([]intent.Name, 0, len(s.members))
	for _, o := range s.members {
		peers = append(peers, o.name)
	}
	region := func(step fleet.Step) intent.Name { v, _ := d.vm(step.Instance.VM); return v.Spec.Region[0] } // nothing is released
	for _, step := range m.turn.mine(plan(d, a), peers, s.now, region) {
		if m.alreadyAt(step) {
			continue // its own transactions follow each other where they touch one machine
		}
		if m.turn.isUnsure(step) {
			now := s.world.read()
			if now.Placements[step.Instance.String()].Index != view.Placements[step.Instance.String()].Index {
				continue
			}
			view = now
		}
		m.flying = append(m.flying, flight{step, view, s.now, 1 + s.IntN(40)})
	}
}

func (m *member) alreadyAt(step fleet.Step) bool {
	for _, f := range m.flying {
		if f.step.To == step.To {
			return true
		}
	}
	return false
}

// land is the end of a transaction.
func (s *simulation) land(m *member, f flight) {
	s.commits++
	m.turn.took(s.now.Sub(f.began))
	defer func() { m.knows = s.world.index }()
	switch err := s.world.commit(f.view, f.step); {
	case errors.Is(err, errConflict):
		s.conflicts++
		m.turn.trust()
		maps.Copy(m.own, s.world.kv) // it reads again what it was about
	case err != nil:
		s.commits-- // it was clear before
	default:
		for key, v := range s.world.kv {
			if v.index == s.world.index {
				m.own[key] = v
			}
		}
	}
}

// view is what a member knows: the store as it was, with its own writes.
func (s *simulation) view(m *member) *fleet.Fleet {
	m.tick = max(m.tick, len(s.past)-1-s.IntN(10))
	past := s.past[m.tick]
	of := [2]uint64{past.index, m.knows}
	if m.seen != nil && of == m.of {
		return m.seen
	}
	m.of = of
	seen := maps.Clone(past.kv)
	var pairs []intent.Pair
	for key, v := range m.own {
		if seen[key].index < v.index {
			seen[key] = v
		}
	}
	for key, v := range seen {
		pairs = append(pairs, intent.Pair{Key: key, Value: []byte(v.text), ModifyIndex: v.index})
	}
	f := fleet.Read(tree, pairs)
	for _, machine := range f.Machines {
		key := tree.Ledger(machine.Region, machine.Name())
		if machine.LedgerIndex > m.heard && m.own[key].index < machine.LedgerIndex {
			m.turn.heard(machine.Region, s.now)
		}
	}
	for _, machine := range f.Machines {
		m.heard = max(m.heard, machine.LedgerIndex)
	}
	m.seen = f
	return f
}
