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
	maxStrikes = 5                      // after so many in a row, the seed is parked
	firstWait  = 500 * time.Millisecond // after the first; it doubles, a fifth more or less
	goodLife   = time.Minute            // of a worker, after which what was before counts no more
	maxSuspect = 8                      // with workers of their own that nothing is proved of: each costs a process
)

// Patient is a seed whose worker ended while it was busy.
type Patient struct {
	Intent  string    // fingerprint of what was wanted then: when that changes, all is forgiven
	Strikes int       // how often in a row a worker ended that had no other seed
	Last    time.Time // when a worker ended last
	Next    time.Time // when its worker is started again
	Why     string    // how the worker ended
}

// Parked reports whether the seed is not tried any more.
func (p Patient) Parked() bool { return p.Strikes >= maxStrikes }

// String says what happened.
func (p Patient) String() string {
	if p.Strikes == 0 {
		return fmt.Sprintf("the worker of all ended at %s while this seed was busy in it: %s", clock(p.Last), p.Why)
	}
	if p.Strikes == 1 {
		return fmt.Sprintf("its worker ended at %s: %s", clock(p.Last), p.Why)
	}
	return fmt.Sprintf("its worker ended %d times in a row, the last time at %s: %s", p.Strikes, clock(p.Last), p.Why)
}

func clock(t time.Time) string { return t.UTC().Format("2006-01-02 15:04:05 UTC") }

// of reports whether a patient's record is of what is wanted now.
func (p Patient) of(seed intent.Seed) bool { return p.Intent == fingerprint(seed) }

// fingerprint tells what is wanted of a seed from what was wanted before, its module included.
func fingerprint(seed intent.Seed) string {
	data, err := json.Marshal(seed)
	if err != nil {
		return "" // there is nothing in it that cannot be written
	}
	sum := sha256.Sum256(data)
	return hex.EncodeToString(sum[:8])
}

// ward keeps the records of seeds that end their workers. One that may have ended the worker of all gets one of its own,
// where it can only harm itself; who ends that again and again is parked until its intent changes. What it knows outlives
// the agent: a seed that takes the machine down with it must not be tried for ever.
type ward struct {
	path     string // of the file that is kept; "" for none
	mu       sync.Mutex
	patients map[string]Patient
	seen     map[string]int // how often a seed was busy when the worker of all ended
}

// openWard reads what was kept. A file that cannot be read is put aside: the worst is that a seed is tried again.
func openWard(path string) (*ward, error) {
	w := &ward{path: path, patients: map[string]Patient{}, seen: map[string]int{}}
	err := host.ReadCache(path, &w.patients)
	if err == nil || errors.Is(err, fs.ErrNotExist) {
		return w, nil
	}
	w.patients = map[string]Patient{}
	if aside, err2 := host.Aside(path); err2 == nil {
		err = fmt.Errorf("%w; moving it to %s", err, aside)
	}
	return w, err
}

// ended notes that a worker ended which had only one seed, and returns how long to wait before the next.
func (w *ward) ended(seed wire.Seed, why string, lived time.Duration, now time.Time) (wait time.Duration, p Patient) {
	w.mu.Lock()
	defer w.mu.Unlock()
	p = w.patients[seed.Name]
	if !p.of(seed.Seed) || lived > goodLife {
		p.Strikes = 0
	}
	wait = time.Duration(float64(firstWait<<min(p.Strikes, 10)) * (0.8 + 0.4*rand.Float64()))
	p = Patient{Intent: fingerprint(seed.Seed), Strikes: p.Strikes + 1, Last: now, Next: now.Add(wait), Why: why}
	w.patients[seed.Name] = p
	w.keep()
	return wait, p
}

// suspect notes which seeds may have ended the worker of all: those that it was making ready, then those with calls under
// way, of too many those that were there most often.
func (w *ward) suspect(loading, busy []wire.Seed, why string, now time.Time) (names []string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	rand.Shuffle(len(busy), func(i, j int) { busy[i], busy[j] = busy[j], busy[i] })
	slices.SortStableFunc(busy, func(a, b wire.Seed) int { return cmp.Compare(w.seen[b.Name], w.seen[a.Name]) })
	for _, seed := range slices.Concat(loading, busy) {
		w.seen[seed.Name]++
		if len(names) < maxSuspect && !slices.Contains(names, seed.Name) {
			names = append(names, seed.Name)
			w.patients[seed.Name] = Patient{Intent: fingerprint(seed.Seed), Last: now, Why: why}
		}
	}
	w.release(now)
	return names
}

// release sends those back among the others of whom nothing was proved, the ones suspected longest ago, when there are
// too many.
func (w *ward) release(now time.Time) {
	for {
		many, oldest, at := 0, "", now.Add(time.Second)
		for _, name := range slices.Sorted(maps.Keys(w.patients)) {
			if p := w.patients[name]; p.Strikes == 0 {
				if many++; p.Last.Before(at) {
					oldest, at = name, p.Last
				}
			}
		}
		if many <= maxSuspect {
			return
		}
		delete(w.patients, oldest)
	}
}

// records returns all there are.
func (w *ward) records() map[string]Patient {
	w.mu.Lock()
	defer w.mu.Unlock()
	return maps.Clone(w.patients)
}

// forget drops the records of seeds that are no longer declared, or are declared otherwise.
func (w *ward) forget(d Desired) {
	w.mu.Lock()
	defer w.mu.Unlock()
	before := len(w.patients)
	maps.DeleteFunc(w.patients, func(name string, p Patient) bool {
		i, declared := slices.BinarySearchFunc(d.Seeds, SeedWish{Name: name}, byName)
		return d.Held[name] == "" && (!declared || d.Seeds[i].Invalid == "" && !p.of(d.Seeds[i].Seed))
	})
	if len(w.patients) < before {
		w.keep()
	}
}

// keep writes down what was proved. What cannot be written is known until the agent ends.
func (w *ward) keep() {
	if w.path == "" {
		return
	}
	proved := maps.Clone(w.patients)
	maps.DeleteFunc(proved, func(_ string, p Patient) bool { return p.Strikes == 0 })
	_ = host.WriteCache(w.path, proved)
}
