package main

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/platypus-platform/platypus/agents/seed-placer/wire"
)

// suspects finds out which seeds may have ended the worker of all, and gives them workers of their own.
func (w *process) suspects(ended error) {
	w.mu.Lock()
	known := map[string]wire.Seed{}
	for _, s := range w.table.Seeds {
		known[s.Name] = s
	}
	loading, calling := pick(known, w.ended.loading), pick(known, w.ended.calling)
	w.mu.Unlock()
	text := ended.Error()
	names := w.crew.placer.ward.suspect(loading, calling, text, time.Now())
	said := "no seed was busy in it"
	if len(names) > 0 {
		said = "one of these may be the reason, so each gets a worker of its own: " + strings.Join(names, ", ")
	}
	w.crew.placer.agent.Log.Warn("", fmt.Sprintf("worker of all seeds ended: %s; it is started again; %s", text, said))
	w.crew.placer.nudge()
}

func pick(known map[string]wire.Seed, names []string) (seeds []wire.Seed) {
	for _, name := range names {
		if s, ok := known[name]; ok {
			seeds = append(seeds, s)
		}
	}
	return seeds
}

// alone waits after the end of a worker that had only one seed, which is to blame, until it may be tried again: when it is
// parked, or is declared anew, that is for the plan to see.
func (w *process) alone(ctx context.Context, ended error, lived time.Duration) {
	seed := w.seed()
	wait, p := w.crew.placer.ward.ended(seed, ended.Error(), lived, time.Now())
	said := fmt.Sprintf("started again in %v", wait.Round(100*time.Millisecond))
	if p.Parked() {
		said = "parked until its intent or its module changes"
	}
	w.crew.placer.agent.Log.Warn(seed.Name, fmt.Sprintf("its worker ended: %v; that was number %d in a row, of %d; it is %s", ended, p.Strikes, maxStrikes, said))
	w.crew.placer.nudge()
	again := time.NewTimer(wait)
	defer again.Stop()
	for p.of(w.seed().Seed) {
		due := again.C
		if p.Parked() {
			due = nil
		}
		select {
		case <-due:
			return
		case <-w.news:
		case <-ctx.Done():
			return
		}
	}
}

// seed is the one of a worker that has no other.
func (w *process) seed() wire.Seed {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.table.Seeds[0]
}
