package worker

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"reflect"
	"sync"
	"sync/atomic"
	"time"

	"github.com/platypus-platform/platypus/agents/seed-placer/engine"
	"github.com/platypus-platform/platypus/agents/seed-placer/gate"
	"github.com/platypus-platform/platypus/agents/seed-placer/wire"
)

// maxModule limits a module, in bytes.
const maxModule = 256 << 20

// slot is one seed of the worker: its configuration and the loaded version.
type slot struct {
	want    wire.Seed
	cancel  context.CancelFunc // of the load in progress
	current atomic.Pointer[loadedSeed]

	mu    sync.Mutex
	state wire.State
	stage string // what a loading seed waits for
	err   string

	calls, failed atomic.Uint64
	idle          stableCounter
	load          loadAverage
}

// loadedSeed is a seed that can be called.
type loadedSeed struct {
	*engine.Seed
	slot     *slot
	spec     wire.Seed
	limiter  *gate.Limiter
	activity *seedActivity
	calls    sync.WaitGroup // in progress
	// runnable counts the calls that have a processor or wait for one.
	runnable atomic.Int64
}

// applyConfig makes the worker follow a configuration. New and changed seeds load while the running versions stay.
func (w *Worker) applyConfig(t wire.Config) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.config = t
	w.sites.set(t.Sites, w.blobs)
	w.peers.set(t.Routes)
	w.divideMemory(t)
	wanted := map[string]bool{}
	for _, seed := range t.Seeds {
		wanted[seed.Name] = true
		s := w.seeds[seed.Name]
		if s == nil {
			s = &slot{}
			w.seeds[seed.Name] = s
		}
		if s.cancel == nil || !sameModule(s.want, seed) {
			w.load(s, seed)
		}
		s.want = seed
		s.load.setCalm(t.Calm)
	}
	for name, s := range w.seeds {
		if !wanted[name] {
			delete(w.seeds, name)
			s.cancel()
			s.retire(s.current.Swap(nil))
		}
	}
	w.requestReport()
}

// sameModule reports whether the change from a to b needs no reload.
func sameModule(a, b wire.Seed) bool {
	a.Seed.Replication = b.Seed.Replication
	return reflect.DeepEqual(a, b)
}

// load loads a seed and replaces the running version once it is ready.
func (w *Worker) load(s *slot, seed wire.Seed) {
	if s.cancel != nil {
		s.cancel()
	}
	ctx, cancel := context.WithCancel(context.Background())
	s.cancel = cancel
	s.set(wire.Loading, nil)
	go func() {
		loaded, err := w.loadOnce(ctx, s, seed)
		for try := 1; err != nil && !errors.Is(err, engine.ErrTooLong) && ctx.Err() == nil && try < maxTries; try++ {
			wait := time.Duration(float64(firstRetryWait<<(try-1)) * (0.8 + 0.4*rand.Float64()))
			s.set(wire.Failed, fmt.Errorf("%w; try %d of %d failed, the next in %v", err, try, maxTries, wait.Round(100*time.Millisecond)))
			w.requestReport()
			pause(ctx, wait)
			loaded, err = w.loadOnce(ctx, s, seed)
		}
		if ctx.Err() != nil {
			if loaded != nil {
				loaded.Close()
			}
			return
		}
		if err == nil {
			bounds := seed.Seed.Bounds.Or()
			s.retire(s.current.Swap(&loadedSeed{Seed: loaded, slot: s, spec: seed, activity: w.activity.forSeed(seed.Name), limiter: gate.New(bounds.Concurrency, bounds.Queue)}))
			s.set(wire.Ready, nil)
		} else if errors.Is(err, engine.ErrTooLong) {
			s.set(wire.Failed, fmt.Errorf("%w; it is parked until its intent or its module changes", err))
		} else {
			s.set(wire.Failed, fmt.Errorf("%w; it failed %d times and is parked until its intent or its module changes", err, maxTries))
		}
		w.requestReport()
	}()
}

// Retries of a failing load, after which the seed waits for a changed intent.
const (
	maxTries       = 5
	firstRetryWait = time.Second // before the second try; it doubles, with 20 % jitter
)

// loadOnce tries to load a seed once.
func (w *Worker) loadOnce(ctx context.Context, s *slot, seed wire.Seed) (*engine.Seed, error) {
	module, err := w.blobs.Read(seed.Digest, maxModule)
	if err != nil {
		return nil, err
	}
	note := w.activity.forSeed(seed.Name)
	note.loads.Add(1)
	defer note.loads.Add(-1)
	w.log.write(seed.Name, engine.Debug, "it is being made ready")
	spec := engineSpec(seed)
	spec.Progress = func(stage string) {
		s.mu.Lock()
		s.stage = stage
		s.mu.Unlock()
		w.requestReport()
	}
	return w.engine.Load(ctx, spec, module)
}

func pause(ctx context.Context, d time.Duration) {
	select {
	case <-time.After(d):
	case <-ctx.Done():
	}
}

func engineSpec(s wire.Seed) engine.Spec {
	return engine.Spec{Name: s.Name, Digest: s.Digest, Bounds: s.Seed.Bounds, Instance: s.Seed.Instance, ABI: s.Seed.ABI, Env: s.Seed.Env,
		Trusted: s.Seed.Trusted, Egress: len(s.Seed.Egress) > 0}
}

func (s *slot) set(state wire.State, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.state, s.stage, s.err = state, "", ""; err != nil {
		s.err = err.Error()
	}
}

// retire closes a replaced version after its last call.
func (s *slot) retire(r *loadedSeed) {
	if r == nil {
		return
	}
	go func() {
		time.Sleep(time.Second) // for calls that have looked it up but not entered it yet
		r.calls.Wait()
		r.Close()
	}()
}

func (s *slot) status() wire.Status {
	s.mu.Lock()
	status := wire.Status{Digest: s.want.Digest, State: s.state, Stage: s.stage, Error: s.err}
	s.mu.Unlock()
	if r := s.current.Load(); r != nil {
		inside, waiting, refused := r.limiter.Counts()
		calm := s.load.calmTime()
		if s.idle.stableFor(s.calls.Load()+uint64(inside), time.Now()) >= calm && r.Idle() > 0 {
			r.Log(engine.Debug, fmt.Sprintf("nobody called it for %v: %d idle instances were ended, %d are left", calm, r.Idle(), r.Trim(0)))
		}
		status.ABI = string(r.ABI)
		status.Load = wire.Load{InFlight: inside, Queued: waiting, Refused: refused,
			TargetLoad: s.load.sample(inside+waiting, r.Concurrency, time.Now())}
		status.Serves = true
	}
	status.Load.Calls, status.Load.Failed = s.calls.Load(), s.failed.Load()
	return status
}

// stableCounter measures how long a number has not changed.
type stableCounter struct {
	mu    sync.Mutex
	value uint64
	since time.Time
}

func (q *stableCounter) stableFor(number uint64, now time.Time) time.Duration {
	q.mu.Lock()
	defer q.mu.Unlock()
	if number != q.value || q.since.IsZero() {
		q.value, q.since = number, now
	}
	return now.Sub(q.since)
}
