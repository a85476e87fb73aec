package main

import (
	"cmp"
	"hash/fnv"
	"slices"
	"sync"
	"time"

	"github.com/platypus-platform/platypus/intent"
	"github.com/platypus-platform/platypus/intent/fleet"
)

// grace is how long an allocator leaves a vm to the one before it in the line. Tests that measure who steps in for whom
// make it longer than a busy machine takes for anything.
var grace = 1500 * time.Millisecond

// turn says which steps are this allocator's to take. Several allocators need no leader, for the store refuses whoever
// comes second; but if all of them went for the same vm at once, most of their work would be refused. So each region has
// its line of allocators, in an order that all of them know, and the next in line steps in when nothing happens. Being
// wrong about it costs a conflict and nothing else.
type turn struct {
	self    intent.Name
	stir    func()
	mu      sync.Mutex
	since   map[errand]time.Time // when a step of somebody else was first seen to be due
	suspect map[intent.Name]time.Time
	timer   *time.Timer
}

// errand is what a step is about, wherever it would go.
type errand struct {
	verb     fleet.Verb
	instance intent.Instance
}

func newTurn(self intent.Name, stir func()) *turn {
	return &turn{self: self, stir: stir, since: map[errand]time.Time{}, suspect: map[intent.Name]time.Time{}}
}

// suspicion is how long an allocator that let its steps lie is passed over.
const suspicion = time.Minute

// mine returns those steps that are this allocator's to take now.
func (t *turn) mine(steps []fleet.Step, peers []intent.Name, now time.Time, regionOf func(fleet.Step) intent.Name) []fleet.Step {
	if len(peers) < 2 {
		return steps
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	lines := map[intent.Name][]intent.Name{}
	since := map[errand]time.Time{}
	var mine []fleet.Step
	next := time.Duration(0)
	for _, s := range steps {
		region := regionOf(s)
		if lines[region] == nil {
			lines[region] = t.line(region, peers, now)
		}
		rank := slices.Index(lines[region], t.self)
		if rank == 0 && s.Verb != fleet.Mend {
			mine = append(mine, s)
			continue
		}
		e := errand{s.Verb, s.Instance}
		due, known := t.since[e]
		if !known {
			due = now
		}
		since[e] = due
		// What is to be mended may be somebody's commit of which only a part was heard of yet.
		wait := due.Add(time.Duration(max(rank, 1)) * grace).Sub(now)
		if wait > 0 {
			if next == 0 || wait < next {
				next = wait
			}
			continue
		}
		for _, before := range lines[region][:rank] {
			t.suspect[before] = now
		}
		mine = append(mine, s)
	}
	t.since = since
	if next > 0 {
		if t.timer != nil {
			t.timer.Stop()
		}
		t.timer = time.AfterFunc(next, t.stir)
	}
	return mine
}

// line is the order in which allocators turn to a region: those that let steps lie lately come last.
func (t *turn) line(region intent.Name, peers []intent.Name, now time.Time) []intent.Name {
	weight := func(peer intent.Name) uint64 {
		h := fnv.New64a()
		_, _ = h.Write([]byte(string(region) + "/" + string(peer)))
		return h.Sum64()
	}
	suspected := func(peer intent.Name) int {
		if at, ok := t.suspect[peer]; ok && now.Sub(at) < suspicion && peer != t.self {
			return 1
		}
		return 0
	}
	return slices.SortedFunc(slices.Values(peers), func(a, b intent.Name) int {
		return cmp.Or(cmp.Compare(suspected(a), suspected(b)), cmp.Compare(weight(a), weight(b)), cmp.Compare(a, b))
	})
}

// trust ends all suspicion: a refused transaction shows that somebody else is at work, and two who both believe to be first
// would go on refusing each other.
func (t *turn) trust() {
	t.mu.Lock()
	defer t.mu.Unlock()
	clear(t.suspect)
}
