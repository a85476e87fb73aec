package history_test

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/platypus-platform/platypus/store"
	"github.com/platypus-platform/platypus/store/embedtest"
	"github.com/platypus-platform/platypus/store/history"
)

// benchAddr is the address, host:port, of a real Consul to measure instead of an embedded store.
const benchAddr = "PLATYPUS_BENCH_ADDR"

func benchWorld(b *testing.B) *store.Store {
	if addr := os.Getenv(benchAddr); addr != "" {
		return opened(b, addr)
	}
	return opened(b, embedtest.Start(b))
}

// repository does the same with git on files.
type repository struct {
	testing.TB
	dir string
}

func newRepository(b testing.TB) repository {
	if _, err := exec.LookPath("git"); err != nil {
		b.Skip("no git to measure beside")
	}
	r := repository{b, b.TempDir()}
	r.git("init", "-q")
	r.git("config", "user.name", "bench")
	r.git("config", "user.email", "bench@example.org")
	r.git("config", "core.fsync", "all") // as durable as the store
	return r
}

func (r repository) git(args ...string) []byte {
	r.Helper()
	cmd := exec.Command("git", args...)
	cmd.Dir = r.dir
	cmd.Env = append(os.Environ(), "HOME="+r.dir, "GIT_CONFIG_NOSYSTEM=1")
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		r.Fatalf("git %v: %v\n%s", args, err, &stderr)
	}
	return out
}

func (r repository) write(key, value string) {
	r.Helper()
	path := filepath.Join(r.dir, key)
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		r.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(value), 0o644); err != nil {
		r.Fatal(err)
	}
}

func median(spans []time.Duration) time.Duration {
	return slices.Sorted(slices.Values(spans))[len(spans)/2]
}

// BenchmarkCommit changes one intent of 2 kB: through the history, by a raw check-and-set transaction, and as a git
// commit, in turn.
func BenchmarkCommit(b *testing.B) {
	s, tree := benchWorld(b), anyTree(b)
	log, repo := history.Open(s, tree), newRepository(b)
	rng := rand.New(rand.NewPCG(1, 1))
	value, other := big(rng, 2000), big(rng, 2000)
	const key = "clusters/slug/production/config"
	raw := tree.Own().Key("raw")
	index, err := s.Commit(b.Context(), []store.Change{{Verb: store.CAS, Key: raw, Value: []byte(other)}})
	if err != nil {
		b.Fatal(err)
	}
	var ours, raws, gits []time.Duration
	timed := func(into *[]time.Duration, do func() error) {
		start := time.Now()
		if err := do(); err != nil {
			b.Fatal(err)
		}
		*into = append(*into, time.Since(start))
	}
	commit := func(log *history.Log) func() error {
		return func() error {
			value = touched(rng, value)
			_, err := log.Commit(b.Context(), history.Request{Note: history.Note{Author: me, Via: "cli", Message: "again"}, Edits: []history.Edit{edit(key, value)}})
			return err
		}
	}
	for i := range b.N {
		timed(&ours, commit(log))
		timed(&raws, func() (err error) {
			other = touched(rng, other)
			index, err = s.Commit(b.Context(), []store.Change{{Verb: store.CAS, Key: raw, Value: []byte(other), Index: index}})
			return err
		})
		if i%10 == 0 {
			repo.write(key, value)
			timed(&gits, func() error { repo.git("add", "."); repo.git("commit", "-q", "-m", "again"); return nil })
		}
	}
	b.ReportMetric(float64(median(ours))/float64(median(raws)), "commit/txn")
	b.ReportMetric(float64(median(ours))/float64(median(gits)), "commit/git")
	b.ReportMetric(float64(median(ours).Microseconds())/1000, "commit-ms")
	b.ReportMetric(float64(median(raws).Microseconds())/1000, "txn-ms")
	b.ReportMetric(float64(median(gits).Microseconds())/1000, "git-ms")
}

// BenchmarkFirstCommit commits from a new process that has not read the log, of 1,000 keys and hundreds of commits. It
// changes an intent and creates one, next to a raw check-and-set transaction.
func BenchmarkFirstCommit(b *testing.B) {
	s, tree := benchWorld(b), anyTree(b)
	rng := rand.New(rand.NewPCG(4, 1))
	var edits []history.Edit
	for i := range 1000 {
		edits = append(edits, edit(fmt.Sprintf("clusters/app%d/production/config", i), big(rng, 900)))
	}
	log := history.Open(s, tree)
	for some := range slices.Chunk(edits, 100) {
		mustCommit(b, log, some...)
	}
	for i := range 160 {
		mustCommit(b, log, edit(edits[i].Key, touched(rng, string(edits[i].Value))))
	}
	raw, other := tree.Own().Key("raw"), big(rng, 2000)
	index, err := s.Commit(b.Context(), []store.Change{{Verb: store.CAS, Key: raw, Value: []byte(other)}})
	if err != nil {
		b.Fatal(err)
	}
	value := big(rng, 2000)
	mustCommit(b, log, edit("clusters/slug/production/config", value))
	var changes, creations, raws []time.Duration
	timed := func(into *[]time.Duration, do func()) {
		start := time.Now()
		do()
		*into = append(*into, time.Since(start))
	}
	for i := range b.N {
		value = touched(rng, value)
		timed(&changes, func() { mustCommit(b, history.Open(s, tree), edit("clusters/slug/production/config", value)) })
		timed(&creations, func() {
			mustCommit(b, history.Open(s, tree), edit(fmt.Sprintf("vms/vm%d-%d", b.N, i), `{"region":"SIN","cores":4,"memory":"8GB","count":1}`))
		})
		timed(&raws, func() {
			other = touched(rng, other)
			if index, err = s.Commit(b.Context(), []store.Change{{Verb: store.CAS, Key: raw, Value: []byte(other), Index: index}}); err != nil {
				b.Fatal(err)
			}
		})
	}
	b.ReportMetric(float64(median(changes))/float64(median(raws)), "first-commit/txn")
	b.ReportMetric(float64(median(creations))/float64(median(raws)), "first-creation/txn")
	b.ReportMetric(float64(median(changes).Microseconds())/1000, "first-commit-ms")
	b.ReportMetric(float64(median(raws).Microseconds())/1000, "txn-ms")
}

// BenchmarkPast reads a prefix of 1,000 keys as it was 150 commits ago, next to a recursive read of the same keys and
// git reading them from a commit.
func BenchmarkPast(b *testing.B) {
	s, tree := benchWorld(b), anyTree(b)
	log, repo := history.Open(s, tree), newRepository(b)
	rng := rand.New(rand.NewPCG(2, 1))
	var edits []history.Edit
	for i := range 1000 {
		edits = append(edits, edit(fmt.Sprintf("clusters/app%d/production/config", i), big(rng, 900)))
		repo.write(edits[i].Key, string(edits[i].Value))
	}
	repo.git("add", ".")
	repo.git("commit", "-q", "-m", "all")
	for some := range slices.Chunk(edits, 100) {
		mustCommit(b, log, some...)
	}
	for i := range 300 {
		edits[i].Value = []byte(touched(rng, string(edits[i].Value)))
		mustCommit(b, log, edits[i])
		repo.write(edits[i].Key, string(edits[i].Value))
		if i == 150 {
			repo.git("commit", "-q", "-a", "-m", "then")
		}
	}
	repo.git("commit", "-q", "-a", "-m", "now")
	var ours, plain, gits []time.Duration
	for range b.N {
		start := time.Now()
		state, err := history.Open(s, tree).At(b.Context(), 161)
		if err != nil || state.Len() != 1000 || len(state.Faults) > 0 {
			b.Fatal(err, state)
		}
		ours = append(ours, time.Since(start))
		start = time.Now()
		pairs, _, err := s.List(b.Context(), tree.Intent(), store.Default)
		if err != nil || len(pairs) != 1000 {
			b.Fatal(err, len(pairs))
		}
		plain = append(plain, time.Since(start))
		start = time.Now()
		if out := repo.git("archive", "HEAD^"); len(out) < 900_000 {
			b.Fatal("git archived too little")
		}
		gits = append(gits, time.Since(start))
	}
	b.ReportMetric(float64(median(ours))/float64(median(plain)), "past/now")
	b.ReportMetric(float64(median(ours))/float64(median(gits)), "past/git")
	b.ReportMetric(float64(median(ours).Microseconds())/1000, "past-ms")
	b.ReportMetric(float64(median(plain).Microseconds())/1000, "now-ms")
	b.ReportMetric(float64(median(gits).Microseconds())/1000, "git-ms")
}

func mustCommit(b testing.TB, log *history.Log, edits ...history.Edit) {
	b.Helper()
	if _, err := log.Commit(b.Context(), history.Request{Note: history.Note{Author: me, Via: "cli", Message: "again"}, Edits: edits}); err != nil {
		b.Fatal(err)
	}
}

// BenchmarkKept changes one intent of 10 kB 400 times and counts the keys and bytes of the history.
func BenchmarkKept(b *testing.B) {
	for range b.N {
		s, tree := benchWorld(b), anyTree(b)
		log, repo := history.Open(s, tree), newRepository(b)
		rng := rand.New(rand.NewPCG(3, 1))
		const key, changes = "clusters/slug/production/config", 400
		value := big(rng, 10_000)
		for range changes {
			value = touched(rng, value)
			mustCommit(b, log, edit(key, value))
			repo.write(key, value)
			repo.git("add", ".")
			repo.git("commit", "-q", "-m", "again")
		}
		pairs, _, err := s.List(b.Context(), tree.History(), store.Consistent)
		if err != nil {
			b.Fatal(err)
		}
		kept := 0
		parts := map[string]int{}
		for _, p := range pairs {
			kept += len(p.Key) + len(p.Value)
			rest, _ := tree.History().Below(p.Key)
			part, _, _ := strings.Cut(rest, "/")
			parts[part] += len(p.Key) + len(p.Value)
		}
		b.Logf("%v", parts)
		b.ReportMetric(float64(kept)/changes, "B/change")
		repo.git("gc", "-q", "--aggressive")
		size := 0
		for _, line := range strings.Split(string(repo.git("count-objects", "-v")), "\n") {
			if kib, ok := strings.CutPrefix(line, "size-pack: "); ok {
				fmt.Sscan(kib, &size)
			}
		}
		b.ReportMetric(float64(size)*1024/changes, "git-B/change")
		b.ReportMetric(float64(kept)/float64(size)/1024, "kept/git")
	}
}
