package main

import (
	"testing"
	"time"

	"github.com/platypus-platform/platypus/intent"
	"github.com/platypus-platform/platypus/intent/fleet"
	"github.com/platypus-platform/platypus/store"
)

// TestTurn: of all allocators exactly one takes a step at once; when it does not, the next does after a while, and goes on
// without waiting.
func TestTurn(t *testing.T) {
	peers := []intent.Name{"a", "b", "c"}
	steps := []fleet.Step{{Verb: fleet.Place, Instance: intent.Instance{VM: "web"}}}
	region := func(fleet.Step) intent.Name { return "SIN" }
	now := time.Now()
	turns, ranks := map[intent.Name]*turn{}, map[intent.Name]int{}
	for _, peer := range peers {
		turns[peer] = newTurn(peer, func() {})
		for rank, other := range turns[peer].line("SIN", peers, now) {
			if other == peer {
				ranks[peer] = rank
			}
		}
	}
	for _, at := range []struct {
		after time.Duration
		take  int // so many ranks take it by then
	}{{0, 1}, {grace / 2, 1}, {grace, 2}, {2 * grace, 3}} {
		for _, peer := range peers {
			mine := turns[peer].mine(steps, peers, now.Add(at.after), region)
			if took := len(mine) == 1; took != (ranks[peer] < at.take) {
				t.Errorf("after %s: %s, number %d in line, takes it: %v", at.after, peer, ranks[peer], took)
			}
		}
	}
	for _, peer := range peers {
		next := []fleet.Step{{Verb: fleet.Place, Instance: intent.Instance{VM: "next"}}}
		if ranks[peer] == 1 && len(turns[peer].mine(next, peers, now.Add(2*grace), region)) != 1 {
			t.Errorf("%s waits for one that let its steps lie", peer)
		}
	}
	if alone := turns["b"].mine(steps, []intent.Name{"b"}, now, region); len(alone) != 1 {
		t.Error("an allocator that is alone waits for somebody")
	}
}

// TestTableKeepsWhatIsNewer: a snapshot that is older than what was written since changes nothing of that.
func TestTableKeepsWhatIsNewer(t *testing.T) {
	table := newTable[intent.Ledger](tree.Ledgers())
	pair := func(index uint64, entries string) intent.Pair {
		return intent.Pair{Key: tree.Ledger("SIN", "m1"), Value: []byte(`{"entries":[` + entries + `]}`), ModifyIndex: index}
	}
	const one = `{"vm":"web.0","cores":1,"memory":"1GB"}`
	count := func() int {
		r, there := table.get("SIN/m1")
		if !there {
			return 0
		}
		return len(r.noun.Entries)
	}
	table.take(snapshot(5, pair(5, "")))
	table.note(news{pair: pair(9, one), found: true})
	if table.take(snapshot(7, pair(7, ""))); count() != 1 {
		t.Error("an older snapshot undid a write")
	}
	if table.take(snapshot(8)); count() != 1 {
		t.Error("an older snapshot removed what was written")
	}
	table.note(news{pair: intent.Pair{Key: tree.Ledger("SIN", "m1"), ModifyIndex: 11}})
	if table.take(snapshot(10, pair(9, one))); count() != 0 {
		t.Error("an older snapshot brought back what was removed")
	}
	if table.take(snapshot(12, pair(12, one))); count() != 1 {
		t.Error("a newer snapshot does not count")
	}
	if table.take(snapshot(3, pair(3, ""))); count() != 0 {
		t.Error("another store does not count")
	}
	if table.take(snapshot(14)); len(table.rows) != 0 {
		t.Error("what is gone is still there")
	}
}

func snapshot(index uint64, pairs ...intent.Pair) store.Snapshot {
	return store.Snapshot{Pairs: pairs, Index: index}
}
