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

// maxModule is the largest module, in bytes.
const maxModule = 256 << 20

// slot is one seed of the worker: what is wanted, and what runs.
type slot struct {
	want    wire.Seed
	cancel  context.CancelFunc // of the load under way
	current atomic.Pointer[running]

	mu sync.Mutex
	progress

	calls, failed atomic.Uint64
	quiet         quiet
	pressure      pressure
}

// progress is how far a seed is.
type progress struct {
	state wire.State
	stage string // what it waits for while it is loaded
	err   string
}

// running is a seed that answers.
type running struct {
	*engine.Seed
	slot *slot
	spec wire.Seed
	gate *gate.Gate
	note *note
	uses sync.WaitGroup // calls under way
	// computing counts the calls that have a processor or wait for one.
	computing atomic.Int64
}

// apply makes the worker follow a table: what is new or changed is loaded while what runs goes on.
func (w *Worker) apply(t wire.Table) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.table = t
	w.sites.set(t.Sites, w.blobs)
	w.peers.set(t.Routes)
	w.ration(t)
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
		s.pressure.fall(t.Calm)
	}
	for name, s := range w.seeds {
		if !wanted[name] {
			delete(w.seeds, name)
			s.cancel()
			s.retire(s.current.Swap(nil))
		}
	}
	w.tell()
}

// sameModule reports whether what runs need not be loaded anew.
func sameModule(a, b wire.Seed) bool {
	a.Seed.Replication = b.Seed.Replication
	return reflect.DeepEqual(a, b)
}

// load brings a seed up beside what runs now, and puts it in its place once it is ready.
func (w *Worker) load(s *slot, seed wire.Seed) {
	if s.cancel != nil {
		s.cancel()
	}
	ctx, cancel := context.WithCancel(context.Background())
	s.cancel = cancel
	s.set(wire.Loading, nil)
	go func() {
		loaded, err := w.loaded(ctx, s, seed)
		for try := 1; err != nil && !errors.Is(err, engine.ErrTooLong) && ctx.Err() == nil && try < tries; try++ {
			wait := time.Duration(float64(firstTry<<(try-1)) * (0.8 + 0.4*rand.Float64()))
			s.set(wire.Failed, fmt.Errorf("%w; try %d of %d failed, the next in %v", err, try, tries, wait.Round(100*time.Millisecond)))
			w.tell()
			pause(ctx, wait)
			loaded, err = w.loaded(ctx, s, seed)
		}
		if ctx.Err() != nil {
			if loaded != nil {
				loaded.Close()
			}
			return
		}
		if err == nil {
			bounds := seed.Seed.Bounds.Or()
			s.retire(s.current.Swap(&running{Seed: loaded, slot: s, spec: seed, note: w.notes.of(seed.Name), gate: gate.New(bounds.Concurrency, bounds.Queue)}))
			s.set(wire.Ready, nil)
		} else if errors.Is(err, engine.ErrTooLong) {
			s.set(wire.Failed, fmt.Errorf("%w; it is parked until its intent or its module changes", err))
		} else {
			s.set(wire.Failed, fmt.Errorf("%w; it failed %d times and is parked until its intent or its module changes", err, tries))
		}
		w.tell()
	}()
}

// A seed that cannot be made ready is tried so often, and then waits for another intent.
const (
	tries    = 5
	firstTry = time.Second // until the second try; it doubles, a fifth more or less
)

// loaded makes a seed ready once.
func (w *Worker) loaded(ctx context.Context, s *slot, seed wire.Seed) (*engine.Seed, error) {
	module, err := w.blobs.Read(seed.Digest, maxModule)
	if err != nil {
		return nil, err
	}
	note := w.notes.of(seed.Name)
	note.loads.Add(1)
	defer note.loads.Add(-1)
	w.log.say(seed.Name, engine.Debug, "it is being made ready")
	spec := specOf(seed)
	spec.Progress = func(stage string) {
		s.mu.Lock()
		s.stage = stage
		s.mu.Unlock()
		w.tell()
	}
	return w.engine.Load(ctx, spec, module)
}

func pause(ctx context.Context, d time.Duration) {
	select {
	case <-time.After(d):
	case <-ctx.Done():
	}
}

func specOf(s wire.Seed) engine.Spec {
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

// retire ends what no longer answers, once its last call is over.
func (s *slot) retire(r *running) {
	if r == nil {
		return
	}
	go func() {
		time.Sleep(time.Second) // for who has just looked it up and not entered yet
		r.uses.Wait()
		r.Close()
	}()
}

func (s *slot) status() wire.Status {
	s.mu.Lock()
	status := wire.Status{Digest: s.want.Digest, State: s.state, Stage: s.stage, Error: s.err}
	s.mu.Unlock()
	if r := s.current.Load(); r != nil {
		inside, waiting, refused := r.gate.Counts()
		calm := s.pressure.falls()
		if s.quiet.since(s.calls.Load()+uint64(inside), time.Now()) >= calm && r.Idle() > 0 {
			r.Say(engine.Debug, fmt.Sprintf("nobody called it for %v: %d idle instances were ended, %d are left", calm, r.Idle(), r.Trim(0)))
		}
		status.ABI = string(r.ABI)
		status.Load = wire.Load{InFlight: inside, Queued: waiting, Refused: refused,
			Wants: s.pressure.of(inside+waiting, r.Concurrency, time.Now())}
		status.Serves = true
	}
	status.Load.Calls, status.Load.Failed = s.calls.Load(), s.failed.Load()
	return status
}

// quiet is for how long a number has stayed the same.
type quiet struct {
	mu     sync.Mutex
	number uint64
	from   time.Time
}

func (q *quiet) since(number uint64, now time.Time) time.Duration {
	q.mu.Lock()
	defer q.mu.Unlock()
	if number != q.number || q.from.IsZero() {
		q.number, q.from = number, now
	}
	return now.Sub(q.from)
}
