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

// takeoverDelay is how long an allocator waits for the peer before it in the order. Tests raise it above the delays
// of a busy machine.
var takeoverDelay = 1500 * time.Millisecond

// maxTakeoverDelays bounds, in takeoverDelays, how long an allocator waits for a slow peer that is seen working.
const maxTakeoverDelays = 10

// workShare decides which steps this allocator takes. Allocators need no leader because the store rejects the second
// writer, but if all of them went for the same VM at once, most transactions would be rejected. So every region has
// an order of allocators that all of them compute, and the next one takes over when nothing happens. An allocator
// that takes over, or whose peers changed recently, rechecks the store first. A wrong decision costs one conflict and
// nothing else.
type workShare struct {
	self       intent.Name
	wake       func()
	mu         sync.Mutex
	dueSince   map[stepID]time.Time      // when a step of a peer was first seen due
	lastActive map[intent.Name]time.Time // by region: when a peer last changed something
	suspects   map[intent.Name]time.Time
	recheck    map[stepID]bool // steps to check against the store before they are taken
	peers      peerSet
	latency    time.Duration // decaying maximum of transaction times
	timer      *time.Timer
}

// peerSet is the set of live allocators and when it last changed.
type peerSet struct {
	names []intent.Name
	since time.Time
}

// stepID identifies a step independently of its destination.
type stepID struct {
	verb     fleet.Verb
	instance intent.Instance
}

func newWorkShare(self intent.Name, wake func()) *workShare {
	return &workShare{self: self, wake: wake, dueSince: map[stepID]time.Time{}, lastActive: map[intent.Name]time.Time{},
		suspects: map[intent.Name]time.Time{}, recheck: map[stepID]bool{}}
}

// suspectTTL is how long an allocator that did not take its steps goes last in the order.
const suspectTTL = time.Minute

// owned returns the steps that this allocator must take now, and schedules a wake-up for the next one.
func (w *workShare) owned(steps []fleet.Step, peers []intent.Name, now time.Time,
	regionOf func(fleet.Step) intent.Name) []fleet.Step {
	w.mu.Lock()
	defer w.mu.Unlock()
	if !slices.Equal(peers, w.peers.names) {
		w.peers = peerSet{peers, now}
	}
	clear(w.recheck)
	if len(peers) < 2 {
		clear(w.dueSince)
		return steps
	}
	orders := map[intent.Name][]intent.Name{}
	dueSince := map[stepID]time.Time{}
	var owned []fleet.Step
	nextTake := time.Duration(0)
	for _, s := range steps {
		region := regionOf(s)
		if orders[region] == nil {
			orders[region] = w.order(region, peers, now)
		}
		rank := slices.Index(orders[region], w.self)
		id := stepID{s.Verb, s.Instance}
		due, known := w.dueSince[id]
		if !known {
			due = now
		}
		dueSince[id] = due
		wait := w.takeAt(s.Verb, rank, due, region).Sub(now)
		if wait > 0 {
			if nextTake == 0 || wait < nextTake {
				nextTake = wait
			}
			continue
		}
		for _, peer := range orders[region][:rank] {
			w.suspects[peer] = now
		}
		if rank > 0 || now.Sub(w.peers.since) < w.takeoverDelay() {
			w.recheck[id] = true
		}
		owned = append(owned, s)
	}
	w.dueSince = dueSince
	if nextTake > 0 {
		if w.timer != nil {
			w.timer.Stop()
		}
		w.timer = time.AfterFunc(nextTake, w.wake)
	}
	return owned
}

// takeAt returns when the allocator with this rank takes a step that is due.
func (w *workShare) takeAt(verb fleet.Verb, rank int, due time.Time, region intent.Name) time.Time {
	if verb == fleet.Mend {
		// An inconsistency may be a peer's commit of which only a part has been received.
		return due.Add(time.Duration(max(rank, 1)) * w.takeoverDelay())
	}
	from := due
	if active := w.lastActive[region]; rank > 0 && active.After(due) {
		from = active // a peer is working: many vms at once, or a slow machine
		if latest := due.Add((maxTakeoverDelays - 1) * w.takeoverDelay()); from.After(latest) {
			from = latest
		}
	}
	return from.Add(time.Duration(rank) * w.takeoverDelay())
}

// takeoverDelay grows with this allocator's own transaction latency: its peers use the same store.
func (w *workShare) takeoverDelay() time.Duration {
	return max(takeoverDelay, min(3*w.latency, maxTakeoverDelays*takeoverDelay))
}

// observeLatency records the duration of a transaction.
func (w *workShare) observeLatency(d time.Duration) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.latency = max(d, w.latency*7/8)
}

// peerActive records that a peer changed something in a region: the peers before this one in the order may be alive.
func (w *workShare) peerActive(region intent.Name, now time.Time) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.lastActive[region] = now
	order := w.order(region, w.peers.names, now.Add(suspectTTL)) // by then all suspicion has expired
	for _, peer := range order[:max(0, slices.Index(order, w.self))] {
		delete(w.suspects, peer)
	}
}

// needsRecheck reports whether a step must be checked against the store first.
func (w *workShare) needsRecheck(s fleet.Step) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.recheck[stepID{s.Verb, s.Instance}]
}

// order is the order of allocators in a region, by hash; recent suspects come last.
func (w *workShare) order(region intent.Name, peers []intent.Name, now time.Time) []intent.Name {
	weight := func(peer intent.Name) uint64 {
		h := fnv.New64a()
		_, _ = h.Write([]byte(string(region) + "/" + string(peer)))
		return h.Sum64()
	}
	suspected := func(peer intent.Name) int {
		if at, ok := w.suspects[peer]; ok && now.Sub(at) < suspectTTL && peer != w.self {
			return 1
		}
		return 0
	}
	return slices.SortedFunc(slices.Values(peers), func(a, b intent.Name) int {
		return cmp.Or(cmp.Compare(suspected(a), suspected(b)), cmp.Compare(weight(a), weight(b)), cmp.Compare(a, b))
	})
}

// clearSuspects drops all suspicion. A conflict shows that a peer is active, and two allocators that both believe to
// be first would keep rejecting each other.
func (w *workShare) clearSuspects() {
	w.mu.Lock()
	defer w.mu.Unlock()
	clear(w.suspects)
}
