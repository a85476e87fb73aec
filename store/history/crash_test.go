package history_test

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net/http"
	"strings"
	"testing"

	"github.com/platypus-platform/platypus/store"
	"github.com/platypus-platform/platypus/store/history"
)

// TestCommit_KilledAtAnyRequest_LogMatchesTree kills a writer before and after each of its requests: afterwards log and
// tree agree, and the next writer succeeds.
func TestCommit_KilledAtAnyRequest_LogMatchesTree(t *testing.T) {
	eachAt(t, func(t *testing.T, at string) {
		before := 98 // so that the commit is the one that makes a checkpoint
		if strings.HasSuffix(t.Name(), "consul") && !thorough() {
			before = 3 // for the time it takes
		}
		for _, worst := range []fate{unsent, unheard} {
			for n, more := 1, true; more; n++ {
				more = writerDies(t, at, n, worst, before)
			}
		}
	})
}

func writerDies(t *testing.T, address string, n int, worst fate, before int) bool {
	rng := rand.New(rand.NewPCG(uint64(n), uint64(worst)))
	w, x := newWorld(t, address), between(t, address)
	a, b := big(rng, 20_000), big(rng, 5000)
	w.commit("before", edit("clusters/a/c/config", a), edit("clusters/b/c/config", b), edit("nodes/web1/a", "1"))
	for i := range before - 1 {
		w.commit("up to a checkpoint", edit("nodes/web1/a", fmt.Sprint(i+2)))
	}
	w.plain("nodes/web1/a", "plain")
	s, err := store.Open(store.Config{Address: x.URL})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), hang)
	defer cancel()
	die := dies(n, worst)
	x.now(func(at int, r *http.Request) fate {
		if at > n { // it asks again, so nothing of it is under way any more: now it is dead
			cancel()
		}
		return die(at, r)
	})
	_, err = history.Open(s, w.tree).Commit(ctx, history.Request{Note: history.Note{Author: me, Message: "dying"}, Edits: []history.Edit{
		edit("clusters/a/c/config", big(rng, 20_000)), edit("clusters/b/c/config", touched(rng, b)), edit("nodes/web1/a", "last"),
		edit("nodes/web2/a", "new")}})
	more := x.count() >= n
	x.now(nil)
	live, _, _ := w.store.Get(t.Context(), string(w.tree.Intent())+"nodes/web1/a", store.Consistent)
	head, err2 := w.log.Head(t.Context())
	if err2 != nil {
		t.Fatal(err2)
	}
	if happened := string(live.Value) == "last"; happened != (head.Seq == uint64(before+2)) {
		t.Fatalf("request %d, %d: the value is %q and the newest commit is %d (%v)", n, worst, live.Value, head.Seq, err)
	}
	w.commit("after", edit("nodes/web3/a", "1"))
	w.observe()
	w.same()
	faults, err := w.log.Verify(t.Context())
	if err != nil || len(faults) > 0 {
		t.Fatal(err, faults)
	}
	return more
}

// TestCommit_ResponseLost_CommitsOnce loses the response of a write that happened, and of one that did not.
func TestCommit_ResponseLost_CommitsOnce(t *testing.T) {
	eachAt(t, func(t *testing.T, at string) {
		for _, worst := range []fate{unsent, unheard, rejected} {
			answerIsLost(t, at, worst)
		}
	})
}

func answerIsLost(t *testing.T, at string, worst fate) {
	w, x := newWorld(t, at), between(t, at)
	w.commit("before", edit("nodes/web1/a", "1"))
	log := history.Open(opened(t, x.URL), w.tree)
	writes := 0
	x.now(func(_ int, r *http.Request) fate {
		if writes++; writes <= 4 && writes > 1 { // the first reads
			return worst
		}
		return passes
	})
	c, err := log.Commit(t.Context(), history.Request{Edits: []history.Edit{edit("nodes/web1/a", "2")}})
	if err != nil || c.Seq != 2 {
		t.Fatalf("%d: %+v, %v", worst, c, err)
	}
	if all := w.all(history.Query{}); len(all) != 2 || all[1].ID != c.ID {
		t.Errorf("%d: %d commits", worst, len(all))
	}
	w.same()
}

func TestCommit_StoreUnreachable_ReportsUnknownOutcome(t *testing.T) {
	at := addresses["embedded"](t)
	w, x := newWorld(t, at), between(t, at)
	w.commit("before", edit("nodes/web1/a", "1"))
	log := history.Open(opened(t, x.URL), w.tree)
	x.now(dies(3, unheard))
	_, err := log.Commit(t.Context(), history.Request{Edits: []history.Edit{edit("nodes/web1/a", "2")}})
	if !errors.Is(err, store.ErrUnreachable) || !strings.Contains(err.Error(), "not known") {
		t.Error(err)
	}
}
