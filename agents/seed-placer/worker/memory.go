package worker

import (
	"math"
	"runtime/debug"

	"github.com/platypus-platform/platypus/agents/seed-placer/wire"
)

// overheadMemory is the memory, in bytes, that a worker may use beyond that of its seeds before the garbage collector
// works harder: compiled code and responses. Inputs and outputs in progress are limited by [byteLimiter].
const overheadMemory = 256 << 20

// garbageAllowance is the memory, in bytes, for garbage and the Go runtime that is allowed on top before the kernel
// refuses more. It only protects the machine, and is far above normal use.
const garbageAllowance = 1 << 30

// divideMemory sets the memory limits of the seeds and of the process. The lock must be held.
func (w *Worker) divideMemory(t wire.Config) {
	parts := map[string]int64{}
	for _, s := range t.Seeds {
		parts[s.Name] = int64(s.Seed.Need())
	}
	w.engine.Memory.Set(t.Memory, parts)
	limit := int64(math.MaxInt64)
	if t.Memory > 0 {
		limit = t.Memory + t.Memory/4 + overheadMemory + inFlightLimit(t.Memory)
	}
	w.inFlight.setLimit(inFlightLimit(t.Memory))
	debug.SetMemoryLimit(limit)
	if t.Memory > 0 && w.listeners.separateProcess {
		limitMemory(2*uint64(limit) + garbageAllowance)
	}
}

// trimIdle ends all idle instances of all seeds, to free memory for a seed that is called.
func (w *Worker) trimIdle() {
	w.mu.RLock()
	defer w.mu.RUnlock()
	for _, s := range w.seeds {
		if r := s.current.Load(); r != nil {
			r.Trim(0)
		}
	}
}
