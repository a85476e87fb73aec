package history_test

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	"github.com/platypus-platform/platypus/store"
	"github.com/platypus-platform/platypus/store/embedtest"
	"github.com/platypus-platform/platypus/store/history"
)

// past is a tree with n commits and what stood after each.
type past struct {
	*world
	rng    *rand.Rand
	states []map[string]string // by seq
}

func newPast(w *world, n int) *past {
	p := &past{world: w, rng: rand.New(rand.NewPCG(3, 4)), states: []map[string]string{{}}}
	p.extend(n)
	return p
}

// extend makes n more commits: values of every size, deletes, values that return.
func (p *past) extend(n int) {
	p.Helper()
	for range n {
		i := len(p.states)
		next := map[string]string{}
		for key, value := range p.states[i-1] {
			next[key] = value
		}
		key := fmt.Sprintf("clusters/app%d/c/config", i%5)
		e := history.Edit{Key: key}
		switch old := next[key]; {
		case i%17 == 0 && old != "":
			e.Delete = true
			delete(next, key)
		case old == "" || i%31 == 0:
			next[key] = big(p.rng, []int{100, 5000, 9000, 20_000, 30_000}[i%5])
		case i%13 == 0 && p.states[i/2][key] != "" && p.states[i/2][key] != old:
			next[key] = p.states[i/2][key]
		default:
			next[key] = touched(p.rng, old)
		}
		if e.Value = []byte(next[key]); e.Delete {
			e.Value = nil
		}
		if c := p.commit("more", e); c.Seq != uint64(i) {
			p.Fatalf("commit %d, want %d", c.Seq, i)
		}
		p.states = append(p.states, next)
	}
}

// reads fails unless every state from one on is readable, and none before.
func (p *past) reads(floor uint64) {
	p.Helper()
	log := history.Open(p.store, p.tree)
	for seq := range p.states {
		if uint64(seq) > floor+3 && seq+3 < len(p.states) && p.rng.IntN(10) > 0 {
			continue // for the time it takes
		}
		state, err := log.At(p.Context(), uint64(seq))
		if uint64(seq) < floor {
			want := fmt.Sprintf("compacted before seq %d (", floor)
			if !errors.Is(err, history.ErrCompacted) || !strings.Contains(err.Error(), want) {
				p.Fatalf("state %d below %d: %v", seq, floor, err)
			}
			continue
		}
		if err != nil || len(state.Faults) > 0 || state.Len() != len(p.states[seq]) {
			p.Fatalf("state %d: %v, %+v", seq, err, state)
		}
		for key, value := range p.states[seq] {
			if v, _ := state.Get(key); string(v.Data) != value {
				p.Fatalf("%s@%d: %d bytes, want %d", key, seq, len(v.Data), len(value))
			}
		}
	}
	faults, err := log.Verify(p.Context())
	if err != nil || len(faults) > 0 {
		p.Fatal(err, faults)
	}
}

func TestCompact(t *testing.T) {
	each(t, func(t *testing.T, w *world) {
		p := newPast(w, 450)
		p.reads(0)
		compact := func(keep history.Keep) history.Compaction {
			t.Helper()
			c, err := history.Open(w.store, w.tree).Compact(t.Context(), keep)
			if err != nil {
				t.Fatal(err)
			}
			return c
		}
		if c := compact(history.Keep{Commits: 10, Age: time.Hour}); c.Floor != 0 || c.Deleted != 0 {
			t.Fatalf("everything is young: %+v", c)
		}
		if _, err := w.log.Tag(t.Context(), history.Tag{Name: "rel-1", Seq: 120, Author: me}); err != nil {
			t.Fatal(err)
		}
		f := w.fork("pinning", 220)
		c := compact(history.Keep{Commits: 10})
		if c.Floor != 100 || c.Pin != "tag rel-1" || c.Deleted == 0 {
			t.Fatalf("a tag pins: %+v", c)
		}
		p.reads(100)
		if err := w.log.Untag(t.Context(), "rel-1"); err != nil {
			t.Fatal(err)
		}
		if c := compact(history.Keep{Commits: 10}); c.Floor != 200 || c.Pin != "fork pinning" {
			t.Fatalf("a fork pins: %+v", c)
		}
		p.reads(200)
		f.same()
		if err := w.log.RemoveFork(t.Context(), "pinning", 0); err != nil {
			t.Fatal(err)
		}
		if _, err := w.log.Hold(t.Context(), history.Hold{Key: "vms/x", Until: time.Now().Add(time.Hour), Author: me}); err != nil {
			t.Fatal(err)
		}
		if c := compact(history.Keep{Commits: 10}); c.Floor != 400 {
			t.Fatalf("%+v", c)
		}
		p.reads(400)
		if c := compact(history.Keep{Commits: 10}); c.Floor != 400 || c.Deleted != 0 {
			t.Fatalf("nothing is left to do: %+v", c)
		}
		p.extend(60) // the writer that stayed goes on, on what is left
		p.reads(400)
		w.same()
		_, err := w.log.Show(t.Context(), 399)
		if !errors.Is(err, history.ErrCompacted) {
			t.Error(err)
		}
		first := w.all(history.Query{})[0]
		if first.Seq != 400 {
			t.Errorf("the log begins at %d", first.Seq)
		}
		if _, err := w.log.SeqAt(t.Context(), first.At.Add(-time.Second)); !errors.Is(err, history.ErrCompacted) {
			t.Error(err)
		}
	})
}

// TestCompact_KilledAtAnyRequest_KeepsWhatIsNeeded kills a compactor at many of its requests: what must be kept stays
// readable, and the next compactor finishes the work.
func TestCompact_KilledAtAnyRequest_KeepsWhatIsNeeded(t *testing.T) {
	eachAt(t, func(t *testing.T, at string) {
		closest, part := 1, 2
		if strings.HasSuffix(t.Name(), "consul") {
			closest = 3 // for the time it takes
		}
		if thorough() {
			closest, part = 1, 8
		}
		for i, worst := range []fate{unsent, unheard} {
			for n, more := 1+i, true; more; n += closest + n/part {
				more = compactorDies(t, at, n, worst)
			}
		}
	})
}

func compactorDies(t *testing.T, at string, n int, worst fate) bool {
	w, x := newWorld(t, at), between(t, at)
	p := newPast(w, 130)
	x.now(dies(n, worst))
	_, _ = history.Open(opened(t, x.URL), w.tree).Compact(t.Context(), history.Keep{Commits: 5})
	more := x.count() >= n
	x.now(nil)
	floor, _, err := w.log.Floor(t.Context())
	if err != nil || floor != 0 && floor != 100 {
		t.Fatal(floor, err)
	}
	p.reads(floor)
	p.extend(20) // before anybody tidies up
	if _, err := history.Open(w.store, w.tree).Compact(t.Context(), history.Keep{Commits: 10}); err != nil {
		t.Fatal(err)
	}
	floor, _, _ = w.log.Floor(t.Context())
	p.reads(floor)
	names, err := w.store.Names(t.Context(), w.tree.History().Join("cp"))
	if err != nil || len(names) > 2 {
		t.Fatalf("request %d: %v are left, %v", n, names, err)
	}
	return more
}

func TestCompact_ConcurrentWriters_LosesNothing(t *testing.T) {
	each(t, func(t *testing.T, w *world) {
		p := newPast(w, 120)
		done := make(chan error, 1)
		stop := make(chan struct{})
		ctx, cancel := context.WithTimeout(t.Context(), hang)
		defer cancel()
		go func() {
			log := history.Open(w.store, w.tree)
			for {
				select {
				case <-stop:
					done <- nil
					return
				default:
				}
				if _, err := log.Compact(ctx, history.Keep{Commits: 20}); err != nil {
					done <- err
					return
				}
			}
		}()
		p.extend(300)
		close(stop)
		if err := <-done; err != nil {
			t.Fatal(err)
		}
		floor, _, err := w.log.Floor(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		p.reads(floor)
		c, err := history.Open(w.store, w.tree).Compact(ctx, history.Keep{Commits: 20})
		if err != nil || c.Floor != 400 {
			t.Fatal(c, err)
		}
		p.reads(400)
		w.same()
	})
}

// TestCompact_ConcurrentTags_StayReadable sets tags while a compactor runs: a tagged commit stays readable.
func TestCompact_ConcurrentTags_StayReadable(t *testing.T) {
	w := newWorld(t, embedtest.Start(t))
	p := newPast(w, 300)
	other := history.Open(w.store, w.tree)
	compacted := make(chan error, 1)
	go func() {
		_, err := other.Compact(t.Context(), history.Keep{Commits: 5})
		compacted <- err
	}()
	low := uint64(0)
	for seq := uint64(250); seq > 100; seq-- {
		if _, err := w.log.Tag(t.Context(), history.Tag{Name: fmt.Sprintf("t%d", seq), Seq: seq}); errors.Is(err, history.ErrCompacted) {
			break
		} else if err != nil && !errors.Is(err, store.ErrConflict) {
			t.Fatal(err)
		}
		low = seq
	}
	if err := <-compacted; err != nil {
		t.Fatal(err)
	}
	if low > 0 {
		if v, _, err := w.log.Get(t.Context(), "clusters/app1/c/config", low); err != nil || string(v.Data) != p.states[low]["clusters/app1/c/config"] {
			t.Fatalf("tagged %d: %v", low, err)
		}
	}
}
