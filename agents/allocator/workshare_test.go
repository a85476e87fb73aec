package main

import (
	"testing"
	"time"

	"github.com/platypus-platform/platypus/intent"
	"github.com/platypus-platform/platypus/intent/fleet"
	"github.com/platypus-platform/platypus/store"
)

// TestWorkShare_IdlePeer_NextTakesOver checks that exactly one allocator takes a step at once, that the next takes
// over after the delay, and that it then does not wait again.
func TestWorkShare_IdlePeer_NextTakesOver(t *testing.T) {
	peers := []intent.Name{"a", "b", "c"}
	steps := []fleet.Step{{Verb: fleet.Place, Instance: intent.Instance{VM: "web"}}}
	region := func(fleet.Step) intent.Name { return "SIN" }
	now := time.Now()
	shares, ranks := map[intent.Name]*workShare{}, map[intent.Name]int{}
	for _, peer := range peers {
		shares[peer] = newWorkShare(peer, func() {})
		for rank, other := range shares[peer].order("SIN", peers, now) {
			if other == peer {
				ranks[peer] = rank
			}
		}
	}
	for _, at := range []struct {
		after time.Duration
		take  int // how many ranks take it by then
	}{{0, 1}, {takeoverDelay / 2, 1}, {takeoverDelay, 2}, {2 * takeoverDelay, 3}} {
		for _, peer := range peers {
			mine := shares[peer].owned(steps, peers, now.Add(at.after), region)
			if took := len(mine) == 1; took != (ranks[peer] < at.take) {
				t.Errorf("after %s: %s, number %d in line, takes it: %v", at.after, peer, ranks[peer], took)
			}
		}
	}
	for _, peer := range peers {
		next := []fleet.Step{{Verb: fleet.Place, Instance: intent.Instance{VM: "next"}}}
		if ranks[peer] == 1 && len(shares[peer].owned(next, peers, now.Add(2*takeoverDelay), region)) != 1 {
			t.Errorf("%s waits for one that let its steps lie", peer)
		}
	}
	for _, peer := range peers {
		shares[peer].clearSuspects()
		again := []fleet.Step{{Verb: fleet.Place, Instance: intent.Instance{VM: "again"}}}
		if took := len(shares[peer].owned(again, peers, now.Add(3*takeoverDelay),
			region)) == 1; took != (ranks[peer] == 0) {
			t.Errorf("once a transaction was refused, number %d takes what is new: %v", ranks[peer], took)
		}
	}
	if alone := shares["b"].owned(steps, []intent.Name{"b"}, now, region); len(alone) != 1 {
		t.Error("an allocator that is alone waits for somebody")
	}
}

// TestReplica_OlderSnapshot_KeepsNewerWrites also checks the index reset of another store.
func TestReplica_OlderSnapshot_KeepsNewerWrites(t *testing.T) {
	rep := newReplica[intent.Ledger](tree.Ledgers())
	pair := func(index uint64, entries string) intent.Pair {
		return intent.Pair{Key: tree.Ledger("SIN", "m1"), Value: []byte(`{"entries":[` + entries + `]}`), ModifyIndex: index}
	}
	const one = `{"vm":"web.0","cores":1,"memory":"1GB"}`
	count := func() int {
		r, there := rep.get("SIN/m1")
		if !there {
			return 0
		}
		return len(r.value.Entries)
	}
	rep.replace(snapshot(5, pair(5, "")))
	rep.applyWrite(update{pair: pair(9, one), found: true})
	if rep.replace(snapshot(7, pair(7, ""))); count() != 1 {
		t.Error("an older snapshot undid a write")
	}
	if rep.replace(snapshot(8)); count() != 1 {
		t.Error("an older snapshot removed what was written")
	}
	rep.applyWrite(update{pair: intent.Pair{Key: tree.Ledger("SIN", "m1"), ModifyIndex: 11}})
	if rep.replace(snapshot(10, pair(9, one))); count() != 0 {
		t.Error("an older snapshot brought back what was removed")
	}
	if rep.replace(snapshot(12, pair(12, one))); count() != 1 {
		t.Error("a newer snapshot does not count")
	}
	if rep.replace(snapshot(3, pair(3, ""))); count() != 0 {
		t.Error("another store does not count")
	}
	if rep.replace(snapshot(14)); len(rep.entries) != 0 {
		t.Error("what is gone is still there")
	}
}

func snapshot(index uint64, pairs ...intent.Pair) store.Snapshot {
	return store.Snapshot{Pairs: pairs, Index: index}
}
