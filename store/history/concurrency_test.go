package history_test

import (
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/platypus-platform/platypus/intent"
	"github.com/platypus-platform/platypus/store"
	"github.com/platypus-platform/platypus/store/history"
)

// TestCommit_ManyConcurrentWriters_AllSucceed: 8 writers make 500 commits each on one tree, half of them to a shared
// key.
func TestCommit_ManyConcurrentWriters_AllSucceed(t *testing.T) {
	writers, each500 := 8, 500
	if testing.Short() {
		each500 = 50
	}
	each(t, func(t *testing.T, w *world) {
		var group sync.WaitGroup
		seqs := make(chan uint64, writers*each500)
		for i := range writers {
			group.Go(func() {
				log := history.Open(w.store, w.tree)
				for n := range each500 {
					key := "nodes/shared/x"
					if n%2 == 0 {
						key = fmt.Sprintf("nodes/own%d/x", i)
					}
					c, err := log.Commit(t.Context(), history.Request{Note: history.Note{Author: me, Message: fmt.Sprint(n)},
						Edits: []history.Edit{edit(key, fmt.Sprintf(`{"writer":%d,"n":%d}`, i, n))}})
					if err != nil {
						t.Errorf("writer %d, commit %d: %v", i, n, err)
						return
					}
					seqs <- c.Seq
				}
			})
		}
		group.Wait()
		close(seqs)
		seen := map[uint64]bool{}
		for seq := range seqs {
			if seen[seq] || seq < 1 || seq > uint64(writers*each500) {
				t.Fatalf("commit %d was given to two, or is out of bounds", seq)
			}
			seen[seq] = true
		}
		if len(seen) != writers*each500 {
			t.Fatalf("%d commits", len(seen))
		}
		faults, err := w.log.Verify(t.Context())
		if err != nil || len(faults) > 0 {
			t.Fatal(err, faults)
		}
		all := w.all(history.Query{})
		for i, c := range all {
			if c.Seq != uint64(i+1) || i > 0 && (c.Prev != all[i-1].Hash || !c.At.After(all[i-1].At) || c.Index <= all[i-1].Index) {
				t.Fatalf("commit %d after %d: %+v", c.Seq, i, c)
			}
		}
		w.same()
	})
}

// TestObserve_ManyPlainWrites_RecordsTrueStates makes 10,000 plain writes while two observers run: every recorded state
// existed, in this order; the last one is recorded; the intervals are correct.
func TestObserve_ManyPlainWrites_RecordsTrueStates(t *testing.T) {
	puts := 10_000
	if testing.Short() {
		puts = 1000
	}
	each(t, func(t *testing.T, w *world) {
		type write struct {
			n  int
			at time.Time // before it was asked for
		}
		written := map[string][]write{} // by key, in order; the value is the number
		keys := []string{"nodes/a/x", "nodes/b/x", "nodes/c/x", "nodes/d/x"}
		var group sync.WaitGroup
		var mu sync.Mutex
		stop := make(chan struct{})
		for _, key := range keys {
			group.Go(func() {
				for n := range puts / len(keys) {
					began := time.Now()
					if err := w.store.Put(t.Context(), string(w.tree.Intent())+key, []byte(fmt.Sprint(n))); err != nil {
						t.Error(err)
						return
					}
					mu.Lock()
					written[key] = append(written[key], write{n, began})
					mu.Unlock()
				}
			})
		}
		var observers sync.WaitGroup
		for range 2 {
			observers.Go(func() { observeUntil(t, w, stop) })
		}
		group.Wait()
		close(stop)
		observers.Wait()
		w.observe()
		w.same()
		last, recorded := map[string]int{}, 0
		for _, key := range keys {
			last[key] = -1
		}
		for _, c := range w.all(history.Query{}) {
			for _, x := range c.Changes {
				var n int
				if _, err := fmt.Sscan(string(x.Value), &n); err != nil || c.Kind != history.Observed || x.Seen == nil {
					t.Fatalf("%+v", c)
				}
				if n <= last[x.Key] || n >= puts/len(keys) {
					t.Fatalf("%s: %d after %d", x.Key, n, last[x.Key])
				}
				if x.Seen.After >= x.Index || x.Index > x.Seen.At || x.Seen.Until.Before(written[x.Key][n].at.Add(-time.Second)) {
					t.Fatalf("%s: written %v, said to be %+v, index %d", x.Key, written[x.Key][n], x.Seen, x.Index)
				}
				last[x.Key] = n
				recorded++
			}
		}
		for _, key := range keys {
			if last[key] != puts/len(keys)-1 {
				t.Errorf("%s: the last one recorded is %d", key, last[key])
			}
		}
		t.Logf("%d of %d states recorded", recorded, puts)
	})
}

// observeUntil watches like the recorder.
func observeUntil(t *testing.T, w *world, stop chan struct{}) {
	log := history.Open(w.store, w.tree)
	var before history.Snapshot
	for {
		select {
		case <-stop:
			return
		default:
		}
		s, err := log.Survey(t.Context())
		if err == nil {
			s.After, s.Since = before.Index, before.Until
			_, err = log.Observe(t.Context(), s)
		}
		if err != nil {
			t.Error(err)
			return
		}
		before = s
	}
}

// TestLog_NumbersPastDigitBoundaries_SortCorrectly passes every number where sorting or padding could go wrong.
func TestLog_NumbersPastDigitBoundaries_SortCorrectly(t *testing.T) {
	each(t, func(t *testing.T, w *world) {
		for i := 1; i <= 1005; i++ {
			if c := w.commit("", edit("nodes/a/x", fmt.Sprint(i))); c.Seq != uint64(i) {
				t.Fatalf("%d: %d", i, c.Seq)
			}
		}
		cold := &world{t, w.store, w.tree, history.Open(w.store, w.tree)}
		all := cold.all(history.Query{})
		for i, c := range all {
			if c.Seq != uint64(i+1) || string(c.Changes[0].Value) != fmt.Sprint(c.Seq) {
				t.Fatalf("%d: %+v", i, c)
			}
		}
		for _, boundary := range []int{9, 10, 11, 99, 100, 101, 255, 256, 257, 999, 1000, 1001} {
			cold.is(uint64(boundary), "nodes/a/x", fmt.Sprint(boundary))
			c := all[boundary-1]
			if seq, err := cold.log.SeqAt(t.Context(), c.At); err != nil || seq != c.Seq {
				t.Errorf("at %s: %d, want %d, %v", c.At, seq, c.Seq, err)
			}
			if seq, err := cold.log.SeqAt(t.Context(), c.At.Add(-time.Nanosecond)); err != nil || seq != c.Seq-1 {
				t.Errorf("before %s: %d, want %d, %v", c.At, seq, c.Seq-1, err)
			}
			if seq, err := cold.log.SeqAtIndex(t.Context(), c.Index); err != nil || seq != c.Seq {
				t.Errorf("at index %d: %d, want %d, %v", c.Index, seq, c.Seq, err)
			}
			if part := cold.all(history.Query{From: c.Seq, To: c.Seq + 2}); len(part) != 3 || part[0].Seq != c.Seq {
				t.Errorf("from %d: %+v", c.Seq, part)
			}
		}
		newest := uint64(1005)
		for c, err := range cold.log.Commits(t.Context(), history.Query{}) {
			if err != nil || c.Seq != newest {
				t.Fatalf("newest first: %d, want %d, %v", c.Seq, newest, err)
			}
			newest--
		}
	})
}

// TestAtIndex_EveryIndex_MatchesTheTree compares AtIndex with the tree at every index, plain writes included.
func TestAtIndex_EveryIndex_MatchesTheTree(t *testing.T) {
	each(t, func(t *testing.T, w *world) {
		var states []history.Snapshot
		look := func() {
			pairs, index, err := w.store.List(t.Context(), intent.Prefix(w.tree.Intent()), store.Consistent)
			if err != nil {
				t.Fatal(err)
			}
			states = append(states, history.Snapshot{Pairs: pairs, Index: index})
		}
		for i := range 30 {
			if key := fmt.Sprintf("nodes/%d/x", i%3); i%4 == 3 {
				w.plain(key, fmt.Sprint("plain", i))
				look()
				w.observe()
			} else {
				w.commit("", edit(key, fmt.Sprint(i)))
				look()
			}
		}
		for _, s := range states {
			state, err := w.log.AtIndex(t.Context(), s.Index)
			if err != nil || state.Len() != len(s.Pairs) {
				t.Fatalf("index %d: %+v, %v", s.Index, state, err)
			}
			for _, p := range s.Pairs {
				key, _ := w.tree.Intent().Below(p.Key)
				if v, _ := state.Get(key); string(v.Data) != string(p.Value) {
					t.Fatalf("index %d: %s is %q, was %q", s.Index, key, v.Data, p.Value)
				}
			}
		}
	})
}
