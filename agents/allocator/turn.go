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

// mostGraces is how many times that an allocator leaves it to one that is seen to be at work, and only slow.
const mostGraces = 10

// turn says which steps are this allocator's to take. Several allocators need no leader, for the store refuses whoever
// comes second; but if all of them went for the same vm at once, most of their work would be refused. So each region has
// its line of allocators, in an order that all of them know, and the next in line steps in when nothing happens there.
// Whoever steps in, or knows the others for too short a time, looks at the store before it does. Being wrong about it
// costs a conflict and nothing else.
type turn struct {
	self    intent.Name
	stir    func()
	mu      sync.Mutex
	since   map[errand]time.Time      // when a step of somebody else was first seen to be due
	work    map[intent.Name]time.Time // by region: when somebody else was last seen to do something there
	suspect map[intent.Name]time.Time
	unsure  map[errand]bool // steps that are to be looked at before they are taken
	known   crowd
	timer   *time.Timer
}

// crowd is who is heard of, and since when.
type crowd struct {
	peers []intent.Name
	since time.Time
}

// errand is what a step is about, wherever it would go.
type errand struct {
	verb     fleet.Verb
	instance intent.Instance
}

func newTurn(self intent.Name, stir func()) *turn {
	return &turn{self: self, stir: stir, since: map[errand]time.Time{}, work: map[intent.Name]time.Time{},
		suspect: map[intent.Name]time.Time{}, unsure: map[errand]bool{}}
}

// suspicion is how long an allocator that let its steps lie is passed over.
const suspicion = time.Minute

// mine returns those steps that are this allocator's to take now.
func (t *turn) mine(steps []fleet.Step, peers []intent.Name, now time.Time, regionOf func(fleet.Step) intent.Name) []fleet.Step {
	t.mu.Lock()
	defer t.mu.Unlock()
	if !slices.Equal(peers, t.known.peers) {
		t.known = crowd{peers, now}
	}
	clear(t.unsure)
	if len(peers) < 2 {
		clear(t.since)
		return steps
	}
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
		e := errand{s.Verb, s.Instance}
		due, known := t.since[e]
		if !known {
			due = now
		}
		since[e] = due
		wait := t.wait(s.Verb, rank, due, region).Sub(now)
		if wait > 0 {
			if next == 0 || wait < next {
				next = wait
			}
			continue
		}
		for _, before := range lines[region][:rank] {
			t.suspect[before] = now
		}
		if rank > 0 || now.Sub(t.known.since) < grace {
			t.unsure[e] = true
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

// wait returns when a step that is due is to be taken, by one that has this rank in the line.
func (t *turn) wait(verb fleet.Verb, rank int, due time.Time, region intent.Name) time.Time {
	if verb == fleet.Mend {
		// What is to be mended may be somebody's commit of which only a part was heard of yet.
		return due.Add(time.Duration(max(rank, 1)) * grace)
	}
	from := due
	if work := t.work[region]; rank > 0 && work.After(due) {
		from = work // somebody is at it: many vms at once, or a slow machine
		if last := due.Add((mostGraces - 1) * grace); from.After(last) {
			from = last
		}
	}
	return from.Add(time.Duration(rank) * grace)
}

// heard notes that somebody else did something in a region: whoever is before this one in its line is not absent.
func (t *turn) heard(region intent.Name, now time.Time) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.work[region] = now
	line := t.line(region, t.known.peers, now.Add(suspicion)) // nobody is under suspicion by then
	for _, before := range line[:max(0, slices.Index(line, t.self))] {
		delete(t.suspect, before)
	}
}

// isUnsure reports whether a step is to be looked at before it is taken.
func (t *turn) isUnsure(s fleet.Step) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.unsure[errand{s.Verb, s.Instance}]
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
