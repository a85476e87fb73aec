package store_test

import (
	"context"
	"encoding/json"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/platypus-platform/platypus/intent"
	"github.com/platypus-platform/platypus/store"
	"github.com/platypus-platform/platypus/store/embedtest"
)

// reporting runs a reporter until stop is called.
func reporting(t testing.TB, s *store.Store, key string) (r *store.Reporter, outcomes chan error, stop func()) {
	r, outcomes = s.NewReporter(key), make(chan error, 1000)
	ctx, cancel := context.WithCancel(t.Context())
	var ended sync.WaitGroup
	ended.Go(func() { r.Run(ctx, func(err error) { outcomes <- err }) })
	stop = func() { cancel(); ended.Wait() }
	t.Cleanup(stop)
	return r, outcomes, stop
}

func report(version string) intent.Report {
	return intent.Report{Agent: "preparer", Node: "web1", IntentIndex: 7, Converged: true,
		Subjects: map[string]intent.State{"slug": {Want: version, Have: version, Phase: "converged"}}}
}

func standing(t testing.TB, s *store.Store, key string) (r intent.Report, index uint64) {
	t.Helper()
	pair, _, err := s.Get(t.Context(), key, store.Consistent)
	if err != nil {
		t.Fatal(err)
	}
	if pair.Value != nil {
		if err := json.Unmarshal(pair.Value, &r); err != nil {
			t.Fatal(err)
		}
	}
	return r, pair.ModifyIndex
}

func heard(t testing.TB, outcomes chan error) error {
	t.Helper()
	select {
	case err := <-outcomes:
		return err
	case <-time.After(hang):
		t.Fatal("nothing is written")
		return nil
	}
}

func TestReporter_UnchangedReport_IsNotWritten(t *testing.T) {
	each(t, func(t *testing.T, s *store.Store, tree intent.Tree) {
		key := tree.Status("preparer", "web1")
		r, outcomes, stop := reporting(t, s, key)
		r.Set(report("v1"))
		if err := heard(t, outcomes); err != nil {
			t.Fatal(err)
		}
		first, index := standing(t, s, key)
		if first.Since.IsZero() || first.Subjects["slug"].Since.IsZero() || !first.Converged {
			t.Fatalf("report %+v", first)
		}
		r.Set(report("v1"))
		if err := heard(t, outcomes); err != nil {
			t.Fatal(err)
		}
		if _, again := standing(t, s, key); again != index {
			t.Fatal("the same report is written again")
		}
		begin := time.Now()
		for i := range 5 {
			r.Set(report(fmt.Sprint("v2.", i)))
		}
		for {
			if now, _ := standing(t, s, key); now.Subjects["slug"].Want == "v2.4" {
				if !now.Since.Equal(first.Since) || !now.Subjects["slug"].Since.After(first.Subjects["slug"].Since) {
					t.Fatalf("times %+v after %+v", now, first)
				}
				break
			}
			if time.Since(begin) > hang {
				t.Fatal("the newest is not written")
			}
			time.Sleep(10 * time.Millisecond)
		}
		stop()
		// Another run with the same result writes nothing and keeps the times.
		before, index := standing(t, s, key)
		r, outcomes, _ = reporting(t, s, key)
		r.Set(report("v2.4"))
		if err := heard(t, outcomes); err != nil {
			t.Fatal(err)
		}
		if after, again := standing(t, s, key); again != index || !after.Since.Equal(before.Since) {
			t.Fatalf("a restart writes: %+v after %+v", after, before)
		}
	})
}

// TestReporter_ManyReports_WritesOncePerInterval counts the writes that a watcher sees.
func TestReporter_ManyReports_WritesOncePerInterval(t *testing.T) {
	s, tree := opened(t, embedtest.Start(t)), anyTree(t)
	key := tree.Status("preparer", "web1")
	r, _, _ := reporting(t, s, key)
	writes := map[uint64]bool{}
	begin := time.Now()
	for i := 0; time.Since(begin) < 2500*time.Millisecond; i++ {
		r.Set(report(fmt.Sprint(i)))
		if _, index := standing(t, s, key); index > 0 {
			writes[index] = true
		}
		time.Sleep(5 * time.Millisecond)
	}
	if n := len(writes); n < 1 || n > int(time.Since(begin)/time.Second)+1 {
		t.Errorf("%d writes in %s", n, time.Since(begin))
	}
}

// TestReporter_PhaseChange_IsWrittenAtOnce: a phase change does not wait for the interval, which is longer than this
// test, unless such changes never stop; a report without one waits.
func TestReporter_PhaseChange_IsWrittenAtOnce(t *testing.T) {
	s, tree := opened(t, embedtest.Start(t)), anyTree(t)
	store.ReportEvery(t, time.Hour)
	key := tree.Status("preparer", "web1")
	r, outcomes, stop := reporting(t, s, key)
	phased := func(phase, reason string) intent.Report {
		one := report("v1")
		one.Subjects["slug"] = intent.State{Phase: phase, Reason: reason}
		return one
	}
	for i := range 4 {
		phase := []string{"working", "converged"}[i%2]
		r.Set(phased(phase, "meanwhile")) // the first report of each phase is written, the following ones are not
		if err := heard(t, outcomes); err != nil {
			t.Fatal(err)
		}
		if now, _ := standing(t, s, key); now.Subjects["slug"].Phase != phase {
			t.Fatalf("%+v", now)
		}
		r.Set(phased(phase, "later"))
	}
	before, index := standing(t, s, key)
	for i := range 100 {
		r.Set(phased([]string{"working", "converged"}[i%2], fmt.Sprint(i)))
		time.Sleep(5 * time.Millisecond)
	}
	stop() // no write is in progress now, and all results were received
	writes := 0
	for len(outcomes) > 0 {
		<-outcomes
		writes++
	}
	if after, again := standing(t, s, key); writes > 5 || writes == 0 && again != index || before.Subjects["slug"].Reason == "later" {
		t.Errorf("%d writes, from %+v to %+v", writes, before, after)
	}
}

// TestReporter_StoreDown_WritesLater: the last report is not lost at the end either.
func TestReporter_StoreDown_WritesLater(t *testing.T) {
	behind := embedtest.Server(t)
	direct, tree := opened(t, behind.URL), anyTree(t)
	key := tree.Status("preparer", "web1")
	wire := between(t, behind)
	wire.now(status(500, "No cluster leader"))
	r, outcomes, stop := reporting(t, opened(t, wire.URL), key)
	r.Set(report("old"))
	if err := heard(t, outcomes); err == nil {
		t.Fatal("written to a store that is down")
	}
	r.Set(report("new"))
	wire.heal()
	for begin := time.Now(); ; time.Sleep(10 * time.Millisecond) {
		if now, _ := standing(t, direct, key); now.Subjects["slug"].Want == "new" {
			break
		} else if time.Since(begin) > hang {
			t.Fatal("never written")
		}
	}
	wire.now(status(500, "No cluster leader"))
	r.Set(report("last"))
	for heard(t, outcomes) == nil {
	}
	stop()
	wire.heal()
	if err := r.Flush(t.Context()); err != nil {
		t.Fatal(err)
	}
	if now, _ := standing(t, direct, key); now.Subjects["slug"].Want != "last" {
		t.Fatalf("the last report is lost: %+v", now)
	}
}
