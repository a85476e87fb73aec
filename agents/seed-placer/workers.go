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

// workers are the worker processes of this node: the shared worker, which owns the node's address and runs every
// untrusted seed, and one for each trusted or suspected seed.
type workers struct {
	ctx        context.Context
	placer     *placer
	listeners  listeners     // the node's own, inherited by each process of the shared worker
	compile    time.Duration // processor time that compiling a module may take
	calm       time.Duration // how long a seed must have less load before it gives up replicas and instances
	mu         sync.Mutex
	sentDigest string
	byName     map[string]*process
	running    sync.WaitGroup
}

func newWorkers(ctx context.Context, p *placer, listeners listeners, calm, compile time.Duration) *workers {
	return &workers{ctx: ctx, placer: p, listeners: listeners, calm: calm, compile: compile, byName: map[string]*process{}}
}

// configure sends each worker its configuration, starts new workers, and stops those without seeds.
func (c *workers) configure(configs workerConfigs, digest string) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, name := range slices.Sorted(maps.Keys(configs)) {
		config := configs[name]
		config.Blobs, config.Cache, config.TLS = c.placer.blobs.Dir(), c.placer.cacheDir(name), c.placer.workerTLS()
		config.Calm, config.CompileTime = c.calm, c.compile
		w := c.byName[name]
		if w == nil {
			listeners, err := c.listenersFor(name)
			if err != nil {
				return err
			}
			w = &process{workers: c, name: name, listeners: listeners, config: config, statuses: map[string]wire.Status{}, changed: make(chan struct{}, 1),
				started: make(chan struct{})}
			c.byName[name] = w
			ctx, cancel := context.WithCancel(c.ctx)
			w.stop = cancel
			c.running.Go(func() { w.run(ctx) })
		}
		w.updateConfig(func(t *wire.Config) { *t = config })
	}
	for name, w := range c.byName {
		if _, wanted := configs[name]; !wanted {
			w.stop()
			delete(c.byName, name)
		}
	}
	c.sentDigest = digest
	return nil
}

// updateTLS sends the current certificates to each worker.
func (c *workers) updateTLS() {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, w := range c.byName {
		w.updateConfig(func(t *wire.Config) { t.TLS = c.placer.workerTLS() })
	}
}

// listenersFor returns the node's own listeners for the shared worker, and new ones on an ephemeral port for any
// other.
func (c *workers) listenersFor(name string) (listeners, error) {
	if name == sharedWorker {
		return c.listeners, nil
	}
	d, err := c.listeners.ephemeral()
	if err != nil {
		return d, fmt.Errorf("listen for %s: %w", name, err)
	}
	return d, nil
}

// observe adds to a what the workers were told to run and serve, what they report, and the digest of their
// configuration.
func (c *workers) observe(a *Actual) {
	c.mu.Lock()
	defer c.mu.Unlock()
	a.Sent, a.Served, a.Workers = map[string]wire.Seed{}, map[string]wire.Site{}, map[string]wire.Status{}
	for _, w := range c.byName {
		w.observe(a)
	}
	a.SentDigest = c.sentDigest
}

// observe adds the worker's seeds, sites and status to a.
func (w *process) observe(a *Actual) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, seed := range w.config.Seeds {
		a.Sent[seed.Name] = seed
		status := w.statuses[seed.Name]
		status.Address = w.listeners.address
		a.Workers[seed.Name] = status
	}
	for _, site := range w.config.Sites {
		a.Served[site.Name] = site
	}
}

// logLine copies a line of a worker, "LEVEL SEED text", to the agent's log.
func (c *workers) logLine(line string) {
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

// newActivityFile returns a file that only this agent and one worker can open. The agent reads it after a crash.
func (c *workers) newActivityFile() (*os.File, error) {
	f, err := anonymousFile(c.placer.agent.StateDir)
	if err == nil {
		err = f.Truncate(worker.ActivitySize)
	}
	if err != nil {
		return nil, fmt.Errorf("make notes for a worker: %w", err)
	}
	return f, nil
}

// waitStarted returns once each worker was started, or failed to start. Running seeds come back before anything else.
func (c *workers) waitStarted(ctx context.Context) {
	c.mu.Lock()
	all := slices.Collect(maps.Values(c.byName))
	c.mu.Unlock()
	for _, w := range all {
		select {
		case <-w.started:
		case <-ctx.Done():
			return
		}
	}
}

// Restart back-off of a worker: it doubles from firstRestartWait up to maxRestartWait.
const (
	firstRestartWait = 10 * time.Millisecond
	maxRestartWait   = 10 * time.Second
)
