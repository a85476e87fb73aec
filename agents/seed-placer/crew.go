package main

import (
	"context"
	"fmt"
	"maps"
	"os"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/platypus-platform/platypus/agents/seed-placer/wire"
	"github.com/platypus-platform/platypus/agents/seed-placer/worker"
)

// crew are the workers of this node: one that owns the node's address and runs every seed that is not trusted, and one
// for each that is.
type crew struct {
	ctx     context.Context
	placer  *placer
	doors   doors         // the node's, handed to each process of the first worker
	compile time.Duration // processor time that a module may take to be compiled
	calm    time.Duration // for how long a seed must have had less to do before it gives back what it had
	mu      sync.Mutex
	told    string
	workers map[string]*process
	ended   sync.WaitGroup
}

func newCrew(ctx context.Context, p *placer, d doors, calm, compile time.Duration) *crew {
	return &crew{ctx: ctx, placer: p, doors: d, calm: calm, compile: compile, workers: map[string]*process{}}
}

// tell gives each worker its table, starts those that are new, and ends those that have nothing left to do.
func (c *crew) tell(set tableSet, digest string) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, name := range slices.Sorted(maps.Keys(set)) {
		table := set[name]
		table.Blobs, table.Cache, table.Sealed = c.placer.blobs.Dir(), c.placer.cacheDir(name), c.placer.sealed()
		table.Calm, table.Compile = c.calm, c.compile
		w := c.workers[name]
		if w == nil {
			d, err := c.doorsOf(name)
			if err != nil {
				return err
			}
			w = &process{crew: c, name: name, doors: d, table: table, seeds: map[string]wire.Status{}, news: make(chan struct{}, 1), life: life{begun: make(chan struct{})}}
			c.workers[name] = w
			ctx, cancel := context.WithCancel(c.ctx)
			w.stop = cancel
			c.ended.Go(func() { w.run(ctx) })
		}
		w.set(func(t *wire.Table) { *t = table })
	}
	for name, w := range c.workers {
		if _, stays := set[name]; !stays {
			w.stop()
			delete(c.workers, name)
		}
	}
	c.told = digest
	return nil
}

// reseal tells each worker what the node proves itself with now.
func (c *crew) reseal() {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, w := range c.workers {
		w.set(func(t *wire.Table) { t.Sealed = c.placer.sealed() })
	}
}

// doorsOf are the node's own for the first worker, and one beside the other nodes' for another.
func (c *crew) doorsOf(name string) (doors, error) {
	if name == front {
		return c.doors, nil
	}
	d, err := c.doors.beside()
	if err != nil {
		return d, fmt.Errorf("listen for %s: %w", name, err)
	}
	return d, nil
}

// observe puts into a what the workers were told to have and to serve, what they report, and the digest of their tables.
func (c *crew) observe(a *Actual) {
	c.mu.Lock()
	defer c.mu.Unlock()
	a.Sent, a.Served, a.Workers = map[string]wire.Seed{}, map[string]wire.Site{}, map[string]wire.Status{}
	for _, w := range c.workers {
		w.observe(a)
	}
	a.Told = c.told
}

// observe adds what the worker was told, and what it reports.
func (w *process) observe(a *Actual) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, seed := range w.table.Seeds {
		a.Sent[seed.Name] = seed
		status := w.seeds[seed.Name]
		status.Address = w.doors.address
		a.Workers[seed.Name] = status
	}
	for _, site := range w.table.Sites {
		a.Served[site.Name] = site
	}
}

// heard puts a line of a worker into the agent's log: "LEVEL SEED text".
func (c *crew) heard(line string) {
	level, rest, _ := strings.Cut(line, " ")
	seed, text, ok := strings.Cut(rest, " ")
	log := c.placer.agent.Log
	switch {
	case !ok || len(level) != 1:
		log.Warn("", "worker: "+line)
	case level == "0":
		log.WithField("seed", seed).Debug(text)
	case level == "1":
		log.Info(seed, text)
	default:
		log.Warn(seed, text)
	}
}

// notes is a file that only this agent and one worker have.
func (c *crew) notes() (*os.File, error) {
	f, err := nameless(c.placer.agent.StateDir)
	if err == nil {
		err = f.Truncate(worker.BusySize)
	}
	if err != nil {
		return nil, fmt.Errorf("make notes for a worker: %w", err)
	}
	return f, nil
}

// begun waits until each worker was started once, or could not be: until then nothing else of the agent matters.
func (c *crew) begun(ctx context.Context) {
	c.mu.Lock()
	all := slices.Collect(maps.Values(c.workers))
	c.mu.Unlock()
	for _, w := range all {
		select {
		case <-w.begun:
		case <-ctx.Done():
			return
		}
	}
}

// restartAfter is how long a worker that ended stays down, doubling up to the second.
const (
	restartAfter = 10 * time.Millisecond
	restartMost  = 10 * time.Second
)
