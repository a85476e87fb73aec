package main

import (
	"context"
	"fmt"
	"net/http"
	"os"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/platypus-platform/platypus/agents/seed-placer/fixture"
	"github.com/platypus-platform/platypus/intent"
	"github.com/platypus-platform/platypus/store"
	"github.com/platypus-platform/platypus/store/embedtest"
)

// TestFleetOutlivesFaults has many nodes with many seeds, and calls from every node to every seed all the while. One agent is killed, and
// one more node comes. Every call ends, in an answer or an error with a code, within its deadline.
func TestFleetOutlivesFaults(t *testing.T) {
	t.Parallel()
	nodes, seeds := 5, 8
	if os.Getenv("PLATYPUS_FAULTS") != "" {
		nodes, seeds = 10, 20
	}
	f := newFleet(t, nodes, seeds)
	took := f.failover()
	f.joins(nodes + 1)
	f.stop()
	t.Logf("%d nodes, %d seeds: ready again %v after kill -9; calls by outcome: %v", nodes, seeds, took.Round(time.Millisecond), f.outcomes)
}

// BenchmarkFailover kills one of ten agents and measures until all seeds are ready on as many nodes as before.
func BenchmarkFailover(b *testing.B) {
	var took []float64
	unanswered := 0
	for range b.N {
		f := newFleet(b, 10, 20)
		took = append(took, float64(f.failover().Milliseconds()))
		f.stop()
		for outcome, n := range f.outcomes {
			if outcome != "answered" {
				unanswered += n
			}
		}
		for _, m := range f.nodes {
			m.kill()
		}
	}
	b.ReportMetric(median(took), "failover-ms")
	b.ReportMetric(float64(unanswered)/float64(b.N), "calls-not-answered")
	b.ReportMetric(0, "ns/op")
}

// fleet is a cluster with seeds, and somebody at each node who calls all of them in turn.
type fleet struct {
	*cluster
	seeds    map[string]int // how many replicas of each
	callers  sync.WaitGroup
	ended    chan struct{}
	mu       sync.Mutex
	outcomes map[string]int // calls, by "answered" or the code of their error
}

// inTime is the deadline of a call; late is how much longer it may take a busy machine to tell of it.
const (
	inTime = 20 * time.Second
	late   = 20 * time.Second
)

func newFleet(t testing.TB, nodes, seeds int) *fleet {
	f := &fleet{cluster: newCluster(t, embedtest.Start(t)), seeds: map[string]int{}, ended: make(chan struct{}), outcomes: map[string]int{}}
	t.Cleanup(f.stop)
	for i := range nodes {
		f.start(i + 1)
	}
	f.joined()
	for i := range seeds {
		name := fmt.Sprintf("seed%d", i)
		f.seeds[name] = 2 + i%2
		f.publish(f.nodes["n1"], fixture.Tiny(), name, map[string]any{"min_replicas": f.seeds[name], "max_replicas": f.seeds[name]})
	}
	f.settled()
	for _, m := range f.nodes {
		f.reaches(m)
	}
	for _, m := range f.nodes {
		f.callers.Go(func() { f.keepCalling(m) })
	}
	return f
}

// settled waits until each seed is ready on as many live nodes as it shall be and nowhere else claimed, and nobody has a
// reason to change that.
func (f *fleet) settled() {
	f.Helper()
	for begin := time.Now(); ; time.Sleep(20 * time.Millisecond) {
		open := f.unsettled()
		if open == "" {
			return
		}
		if time.Since(begin) > hang {
			f.Fatal("it does not settle: " + open)
		}
	}
}

func (f *fleet) unsettled() string {
	parts := map[intent.Prefix]store.Snapshot{}
	for _, p := range prefixes(f.tree) {
		pairs, index, err := f.store.List(context.Background(), p, store.Default)
		if err != nil {
			return err.Error()
		}
		parts[p] = store.Snapshot{Pairs: pairs, Index: index}
	}
	d := assemble(f.tree, "", parts)
	places := placements(d)
	for seed, want := range f.seeds {
		for node, r := range d.Claims[seed] {
			if m := f.nodes[node]; m == nil || m.dead() || r.State != intent.ReplicaReady || !slices.Contains(places[seed].Nodes, node) {
				return fmt.Sprintf("%s on %s is %v, and shall be on %v", seed, node, r, places[seed].Nodes)
			}
		}
		if ready := len(d.Claims[seed]); ready != want {
			return fmt.Sprintf("%s is ready on %d nodes, want %d", seed, ready, want)
		}
	}
	return ""
}

// dead reports whether the agent of a node has ended.
func (m *member) dead() bool {
	select {
	case <-m.ended:
		return true
	default:
		return false
	}
}

// reaches waits until a node knows the way to every seed.
func (f *fleet) reaches(m *member) {
	f.Helper()
	for name := range f.seeds {
		for begin := time.Now(); ; time.Sleep(10 * time.Millisecond) {
			status, said := f.call(m, name+"/hello", "x")
			if status == http.StatusOK && said == "hello, x" {
				break
			}
			if time.Since(begin) > hang {
				f.Fatalf("%s cannot be called at %s: %d %s", name, m.name, status, said)
			}
		}
	}
}

// keepCalling calls all seeds at a node in turn, until its agent is dead or the fleet stops.
func (f *fleet) keepCalling(m *member) {
	names := make([]string, 0, len(f.seeds))
	for name := range f.seeds {
		names = append(names, name)
	}
	slices.Sort(names)
	for i := 0; ; i++ {
		select {
		case <-f.ended:
			return
		case <-time.After(5 * time.Millisecond):
		}
		outcome := f.once(m, names[i%len(names)])
		if m.dead() {
			return
		}
		f.mu.Lock()
		f.outcomes[outcome]++
		f.mu.Unlock()
	}
}

// once makes a call and says how it ended.
func (f *fleet) once(m *member, seed string) string {
	request, err := http.NewRequest(http.MethodPost, "http://"+m.address+"/call/"+seed+"/hello", strings.NewReader("x"))
	if err != nil {
		f.Error(err)
		return ""
	}
	request.Header.Set("Platypus-Deadline-Ms", strconv.FormatInt(inTime.Milliseconds(), 10))
	began := time.Now()
	response, err := f.asker.Do(request)
	if err != nil {
		select {
		case <-m.ended:
		case <-time.After(late): // its worker dies a moment before it
			f.Errorf("%s at %s ends without a reply after %v: %v", seed, m.name, time.Since(began), err)
		}
		return "no reply"
	}
	response.Body.Close()
	code := response.Header.Get("Platypus-Error")
	if took := time.Since(began); took > inTime+late || response.StatusCode != http.StatusOK && code == "" {
		f.Errorf("%s at %s ends after %v with %s", seed, m.name, took, response.Status)
	}
	if code == "" {
		return "answered"
	}
	return code
}

// failover kills the agent of the node that has the most seeds ready, and returns after how long as many as before are
// ready elsewhere. Nobody may have been sent where a seed was not ready.
func (f *fleet) failover() time.Duration {
	f.Helper()
	has := map[string]int{}
	for name := range f.seeds {
		for node := range f.replicas(name) {
			has[node]++
		}
	}
	victim := "n1"
	for node, n := range has {
		if n > has[victim] {
			victim = node
		}
	}
	began := time.Now()
	f.nodes[victim].kill()
	f.settled()
	took := time.Since(began)
	for name, m := range f.nodes {
		if strings.Contains(m.log.String(), "where it is not ready") {
			f.Errorf("%s was sent calls of seeds that it did not have ready", name)
		}
		if !m.dead() {
			f.reaches(m)
		}
	}
	return took
}

// joins adds a node, which takes its share, and from which everything can be called.
func (f *fleet) joins(i int) {
	f.Helper()
	m := f.start(i)
	for begin := time.Now(); !strings.Contains(m.log.String(), ": ready: "); time.Sleep(20 * time.Millisecond) {
		if time.Since(begin) > hang {
			f.Fatalf("%s gets no seed", m.name)
		}
	}
	f.settled()
	for _, m := range f.nodes {
		if !m.dead() {
			f.reaches(m)
		}
	}
}

// stop ends the calls.
func (f *fleet) stop() {
	select {
	case <-f.ended:
	default:
		close(f.ended)
	}
	f.callers.Wait()
}
