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

// TestWorkShare_FourAllocators_FewConflicts simulates four allocators with a simulated clock: their view is up to
// half a second old, a transaction takes up to two seconds, and at times one stalls for seconds. Less than a tenth of
// the transactions may be rejected, and everything is placed. BenchmarkConflicts measures real processes.
func TestWorkShare_FourAllocators_FewConflicts(t *testing.T) {
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

// simulation is a store with allocators whose view of it lags.
type simulation struct {
	*rand.Rand
	world              *memStore
	now                time.Time
	history            []*memStore // the store at each tick
	members            []*member
	commits, conflicts int
}

// tick is the resolution of the simulated clock.
const tick = 50 * time.Millisecond

// member is a simulated allocator.
type member struct {
	name         intent.Name
	turn         *workShare
	stalls       int              // ticks left during which it does nothing
	ownWrites    map[string]value // its own writes, visible to it at once
	tick         int              // of its view
	seen         *fleet.Fleet     // the last view, for the state in snapshotOf
	snapshotOf   [2]uint64
	knownIndex   uint64 // the store's index at its last write or rejection
	newestLedger uint64 // index of the newest ledger seen
	inFlight     []inFlightTxn
}

// inFlightTxn is a transaction that has not completed.
type inFlightTxn struct {
	step      fleet.Step
	view      *fleet.Fleet
	began     time.Time
	ticksLeft int // ticks from now
}

func newSimulation(r *rand.Rand, many int) *simulation {
	s := &simulation{Rand: r, world: &memStore{kv: map[string]value{}}, now: time.Unix(1e9, 0)}
	for n := range 20 {
		s.world.put(tree.Machine(intent.Name(fmt.Sprintf("R%d", n%5)), intent.Name(fmt.Sprintf("m%d", n))), `{"cores":32,"memory":"2TB"}`)
	}
	for n := range many {
		name := intent.Name(fmt.Sprintf("a%d", n))
		s.members = append(s.members, &member{name: name, turn: newWorkShare(name, func() {}),
			ownWrites: map[string]value{}})
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
		if len(s.history) > 0 && s.history[len(s.history)-1].index == s.world.index {
			s.history = append(s.history, s.history[len(s.history)-1])
		} else {
			s.history = append(s.history, &memStore{kv: maps.Clone(s.world.kv), index: s.world.index})
		}
		for _, m := range s.members {
			s.act(m)
		}
		if n >= 10*wishes && n%20 == 0 && len(s.world.placedOn()) == wishes {
			return
		}
		if n > 100*wishes {
			t.Fatalf("%d of %d have a place after %s", len(s.world.placedOn()), wishes, time.Duration(n)*tick)
		}
	}
}

// act runs one tick of an allocator.
func (s *simulation) act(m *member) {
	if m.stalls > 0 {
		m.stalls--
		return
	}
	if s.IntN(400) == 0 {
		m.stalls = 20 + s.IntN(100)
	}
	flying := m.inFlight
	m.inFlight = nil
	for _, f := range flying {
		if f.ticksLeft--; f.ticksLeft > 0 {
			m.inFlight = append(m.inFlight, f)
			continue
		}
		s.finish(m, f)
	}
	view := s.view(m)
	d, a := s.world.viewOf(view)
	a.InFlight = map[string]fleet.Step{}
	for _, f := range m.inFlight {
		a.InFlight[f.step.Instance.String()] = f.step
	}
	peers := make([]intent.Name, 0, len(s.members))
	for _, o := range s.members {
		peers = append(peers, o.name)
	}
	// Nothing is released, so every step has a VM.
	region := func(step fleet.Step) intent.Name { v, _ := d.vm(step.Instance.VM); return v.Spec.Region[0] }
	for _, step := range m.turn.owned(plan(d, a), peers, s.now, region) {
		if m.alreadyAt(step) {
			continue // its own transactions on one machine are sequential
		}
		if m.turn.needsRecheck(step) {
			now := s.world.read()
			if now.Placements[step.Instance.String()].Index != view.Placements[step.Instance.String()].Index {
				continue
			}
			view = now
		}
		m.inFlight = append(m.inFlight, inFlightTxn{step, view, s.now, 1 + s.IntN(40)})
	}
}

func (m *member) alreadyAt(step fleet.Step) bool {
	for _, f := range m.inFlight {
		if f.step.To == step.To {
			return true
		}
	}
	return false
}

// finish completes a transaction.
func (s *simulation) finish(m *member, f inFlightTxn) {
	s.commits++
	m.turn.observeLatency(s.now.Sub(f.began))
	defer func() { m.knownIndex = s.world.index }()
	switch err := s.world.commit(f.view, f.step); {
	case errors.Is(err, errConflict):
		s.conflicts++
		m.turn.clearSuspects()
		maps.Copy(m.ownWrites, s.world.kv) // it reads the keys of the transaction again
	case err != nil:
		s.commits-- // rejected before it was sent
	default:
		for key, v := range s.world.kv {
			if v.index == s.world.index {
				m.ownWrites[key] = v
			}
		}
	}
}

// view returns a member's view: an older state of the store plus its own writes.
func (s *simulation) view(m *member) *fleet.Fleet {
	m.tick = max(m.tick, len(s.history)-1-s.IntN(10))
	past := s.history[m.tick]
	of := [2]uint64{past.index, m.knownIndex}
	if m.seen != nil && of == m.snapshotOf {
		return m.seen
	}
	m.snapshotOf = of
	seen := maps.Clone(past.kv)
	var pairs []intent.Pair
	for key, v := range m.ownWrites {
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
		if machine.LedgerIndex > m.newestLedger && m.ownWrites[key].index < machine.LedgerIndex {
			m.turn.peerActive(machine.Region, s.now)
		}
	}
	for _, machine := range f.Machines {
		m.newestLedger = max(m.newestLedger, machine.LedgerIndex)
	}
	m.seen = f
	return f
}
