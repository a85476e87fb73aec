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

// How often a seed may crash its own worker.
const (
	maxStrikes     = 5                      // crashes in a row after which the seed is parked
	firstRetryWait = 500 * time.Millisecond // after the first crash; it doubles, with 20 % jitter
	stableAfter    = time.Minute            // uptime of a worker after which earlier crashes no longer count
	maxSuspects    = 8                      // unproven suspects with workers of their own: each costs a process
)

// Suspect is the record of a seed that was active when its worker ended.
type Suspect struct {
	Intent  string    // fingerprint of the seed's intent; a changed intent clears the record
	Strikes int       // crashes in a row of a worker that ran only this seed
	Last    time.Time // time of the last crash
	Next    time.Time // time of the next restart
	Why     string    // how the worker ended
}

// Parked reports whether the seed is no longer retried.
func (p Suspect) Parked() bool { return p.Strikes >= maxStrikes }

// String describes the crash for status and logs.
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

// matches reports whether the record is about the current intent of the seed.
func (p Suspect) matches(seed intent.Seed) bool { return p.Intent == fingerprint(seed) }

// fingerprint identifies an intent of a seed, its module included.
func fingerprint(seed intent.Seed) string {
	data, err := json.Marshal(seed)
	if err != nil {
		return "" // every value of the type can be encoded
	}
	sum := sha256.Sum256(data)
	return hex.EncodeToString(sum[:8])
}

// quarantine records seeds that end their workers. A seed that may have crashed the shared worker gets its own, where
// it harms nobody else; one that keeps crashing is parked until its intent changes. The record is stored, because a
// seed that takes the machine down must not be retried for ever.
type quarantine struct {
	path       string // of the stored record; "" for none
	mu         sync.Mutex
	suspects   map[string]Suspect
	crashCount map[string]int // crashes of the shared worker in which a seed was active
}

// openQuarantine loads the stored record. An unreadable file is moved aside; at worst a parked seed is retried.
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

// recordCrash counts a crash of a worker with one seed, and returns the time to wait before the restart.
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

// addSuspects records the seeds that may have crashed the shared worker: those it was loading first, then those with
// calls in progress. Above the limit the most frequent suspects are kept.
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

// releaseOldest releases the longest-held unproven suspects above maxSuspects.
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

// records returns a copy of all records.
func (q *quarantine) records() map[string]Suspect {
	q.mu.Lock()
	defer q.mu.Unlock()
	return maps.Clone(q.suspects)
}

// dropOutdated drops the records of seeds that are no longer declared, or whose intent has changed.
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

// save stores the proven records. If that fails they last until the agent ends.
func (q *quarantine) save() {
	if q.path == "" {
		return
	}
	proved := maps.Clone(q.suspects)
	maps.DeleteFunc(proved, func(_ string, p Suspect) bool { return p.Strikes == 0 })
	_ = host.WriteCache(q.path, proved)
}
