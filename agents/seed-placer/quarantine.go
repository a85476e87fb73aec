package main

import (
	"cmp"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"math/rand/v2"
	"slices"
	"sync"
	"time"

	"github.com/platypus-platform/platypus/agents/internal/host"
	"github.com/platypus-platform/platypus/agents/seed-placer/wire"
	"github.com/platypus-platform/platypus/intent"
)

// How often a worker may end by the fault of its seed.
const (
	maxStrikes     = 5                      // after so many in a row, the seed is parked
	firstRetryWait = 500 * time.Millisecond // after the first; it doubles, a fifth more or less
	stableAfter    = time.Minute            // of a worker, after which what was before counts no more
	maxSuspects    = 8                      // with workers of their own that nothing is proved of: each costs a process
)

// Suspect is a seed whose worker ended while it was busy.
type Suspect struct {
	Intent  string    // fingerprint of what was wanted then: when that changes, all is forgiven
	Strikes int       // how often in a row a worker ended that had no other seed
	Last    time.Time // when a worker ended last
	Next    time.Time // when its worker is started again
	Why     string    // how the worker ended
}

// Parked reports whether the seed is not tried any more.
func (p Suspect) Parked() bool { return p.Strikes >= maxStrikes }

// String says what happened.
func (p Suspect) String() string {
	if p.Strikes == 0 {
		return fmt.Sprintf("the worker of all ended at %s while this seed was busy in it: %s", formatTime(p.Last), p.Why)
	}
	if p.Strikes == 1 {
		return fmt.Sprintf("its worker ended at %s: %s", formatTime(p.Last), p.Why)
	}
	return fmt.Sprintf("its worker ended %d times in a row, the last time at %s: %s", p.Strikes, formatTime(p.Last), p.Why)
}

func formatTime(t time.Time) string { return t.UTC().Format("2006-01-02 15:04:05 UTC") }

// matches reports whether a patient's record is of what is wanted now.
func (p Suspect) matches(seed intent.Seed) bool { return p.Intent == fingerprint(seed) }

// fingerprint tells what is wanted of a seed from what was wanted before, its module included.
func fingerprint(seed intent.Seed) string {
	data, err := json.Marshal(seed)
	if err != nil {
		return "" // there is nothing in it that cannot be written
	}
	sum := sha256.Sum256(data)
	return hex.EncodeToString(sum[:8])
}

// quarantine keeps the records of seeds that end their workers. One that may have ended the worker of all gets one of its own,
// where it can only harm itself; who ends that again and again is parked until its intent changes. What it knows outlives
// the agent: a seed that takes the machine down with it must not be tried for ever.
type quarantine struct {
	path       string // of the file that is kept; "" for none
	mu         sync.Mutex
	suspects   map[string]Suspect
	crashCount map[string]int // how often a seed was busy when the worker of all ended
}

// openQuarantine reads what was kept. A file that cannot be read is put aside: the worst is that a seed is tried again.
func openQuarantine(path string) (*quarantine, error) {
	q := &quarantine{path: path, suspects: map[string]Suspect{}, crashCount: map[string]int{}}
	err := host.ReadCache(path, &q.suspects)
	if err == nil || errors.Is(err, fs.ErrNotExist) {
		return q, nil
	}
	q.suspects = map[string]Suspect{}
	if moved, err2 := host.Aside(path); err2 == nil {
		err = fmt.Errorf("%w; moving it to %s", err, moved)
	}
	return q, err
}

// recordCrash notes that a worker ended which had only one seed, and returns how long to wait before the next.
func (q *quarantine) recordCrash(seed wire.Seed, why string, lived time.Duration, now time.Time) (wait time.Duration, p Suspect) {
	q.mu.Lock()
	defer q.mu.Unlock()
	p = q.suspects[seed.Name]
	if !p.matches(seed.Seed) || lived > stableAfter {
		p.Strikes = 0
	}
	wait = time.Duration(float64(firstRetryWait<<min(p.Strikes, 10)) * (0.8 + 0.4*rand.Float64()))
	p = Suspect{Intent: fingerprint(seed.Seed), Strikes: p.Strikes + 1, Last: now, Next: now.Add(wait), Why: why}
	q.suspects[seed.Name] = p
	q.save()
	return wait, p
}

// addSuspects notes which seeds may have ended the worker of all: those that it was making ready, then those with calls under
// way, of too many those that were there most often.
func (q *quarantine) addSuspects(loading, busy []wire.Seed, why string, now time.Time) (names []string) {
	q.mu.Lock()
	defer q.mu.Unlock()
	rand.Shuffle(len(busy), func(i, j int) { busy[i], busy[j] = busy[j], busy[i] })
	slices.SortStableFunc(busy, func(a, b wire.Seed) int { return cmp.Compare(q.crashCount[b.Name], q.crashCount[a.Name]) })
	for _, seed := range slices.Concat(loading, busy) {
		q.crashCount[seed.Name]++
		if len(names) < maxSuspects && !slices.Contains(names, seed.Name) {
			names = append(names, seed.Name)
			q.suspects[seed.Name] = Suspect{Intent: fingerprint(seed.Seed), Last: now, Why: why}
		}
	}
	q.releaseOldest(now)
	return names
}

// releaseOldest sends those back among the others of whom nothing was proved, the ones suspected longest ago, when there are
// too many.
func (q *quarantine) releaseOldest(now time.Time) {
	for {
		unproven, oldest, at := 0, "", now.Add(time.Second)
		for _, name := range slices.Sorted(maps.Keys(q.suspects)) {
			if p := q.suspects[name]; p.Strikes == 0 {
				if unproven++; p.Last.Before(at) {
					oldest, at = name, p.Last
				}
			}
		}
		if unproven <= maxSuspects {
			return
		}
		delete(q.suspects, oldest)
	}
}

// records returns all there are.
func (q *quarantine) records() map[string]Suspect {
	q.mu.Lock()
	defer q.mu.Unlock()
	return maps.Clone(q.suspects)
}

// dropOutdated drops the records of seeds that are no longer declared, or are declared otherwise.
func (q *quarantine) dropOutdated(d Desired) {
	q.mu.Lock()
	defer q.mu.Unlock()
	before := len(q.suspects)
	maps.DeleteFunc(q.suspects, func(name string, p Suspect) bool {
		i, declared := slices.BinarySearchFunc(d.Seeds, DesiredSeed{Name: name}, byName)
		return d.Held[name] == "" && (!declared || d.Seeds[i].Invalid == "" && !p.matches(d.Seeds[i].Seed))
	})
	if len(q.suspects) < before {
		q.save()
	}
}

// save writes down what was proved. What cannot be written is known until the agent ends.
func (q *quarantine) save() {
	if q.path == "" {
		return
	}
	proved := maps.Clone(q.suspects)
	maps.DeleteFunc(proved, func(_ string, p Suspect) bool { return p.Strikes == 0 })
	_ = host.WriteCache(q.path, proved)
}
