package main

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/platypus-platform/platypus/agents/seed-placer/wire"
)

// isolateSuspects finds the seeds that may have ended the shared worker, and gives each a worker of its own.
func (w *process) isolateSuspects(ended error) {
	w.mu.Lock()
	known := map[string]wire.Seed{}
	for _, s := range w.config.Seeds {
		known[s.Name] = s
	}
	loading, calling := seedsNamed(known, w.lastExit.loading), seedsNamed(known, w.lastExit.calling)
	w.mu.Unlock()
	text := ended.Error()
	names := w.workers.placer.quarantine.addSuspects(loading, calling, text, time.Now())
	outcome := "no seed was busy in it"
	if len(names) > 0 {
		outcome = "one of these may be the reason, so each gets a worker of its own: " + strings.Join(names, ", ")
	}
	w.workers.placer.agent.Log.Warn("", fmt.Sprintf("worker of all seeds ended: %s; it is started again; %s", text, outcome))
	w.workers.placer.wake()
}

func seedsNamed(known map[string]wire.Seed, names []string) (seeds []wire.Seed) {
	for _, name := range names {
		if s, ok := known[name]; ok {
			seeds = append(seeds, s)
		}
	}
	return seeds
}

// waitAfterCrash blocks after the crash of a worker with one seed, which is to blame, until the seed may be retried.
// A parked or redeclared seed is left to the next plan.
func (w *process) waitAfterCrash(ctx context.Context, ended error, lived time.Duration) {
	seed := w.onlySeed()
	wait, suspect := w.workers.placer.quarantine.recordCrash(seed, ended.Error(), lived, time.Now())
	outcome := fmt.Sprintf("started again in %v", wait.Round(100*time.Millisecond))
	if suspect.Parked() {
		outcome = "parked until its intent or its module changes"
	}
	w.workers.placer.agent.Log.Warn(seed.Name, fmt.Sprintf("its worker ended: %v; that was number %d in a row, of %d; it is %s", ended, suspect.Strikes, maxStrikes, outcome))
	w.workers.placer.wake()
	retry := time.NewTimer(wait)
	defer retry.Stop()
	for suspect.matches(w.onlySeed().Seed) {
		due := retry.C
		if suspect.Parked() {
			due = nil
		}
		select {
		case <-due:
			return
		case <-w.changed:
		case <-ctx.Done():
			return
		}
	}
}

// onlySeed returns the seed of a worker that runs just one.
func (w *process) onlySeed() wire.Seed {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.config.Seeds[0]
}
