package worker

import (
	"math"
	"runtime/debug"

	"github.com/platypus-platform/platypus/agents/seed-placer/wire"
)

// overheadMemory is what a worker may need beside the memory of its seeds before its garbage is collected more eagerly, in bytes:
// compiled code, and answers that are being made. What is under way, [flight] counts.
const overheadMemory = 256 << 20

// garbageAllowance is how much garbage, in bytes, and what Go itself needs may come on top before the kernel refuses memory.
// It only keeps a worker from taking the machine down, and is far from what any worker has by right.
const garbageAllowance = 1 << 30

// divideMemory bounds the memory that seeds may have. It must be called with the lock held.
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

// trimIdle ends the instances that no call is in, of all seeds: one that is called has more need of their memory.
func (w *Worker) trimIdle() {
	w.mu.RLock()
	defer w.mu.RUnlock()
	for _, s := range w.seeds {
		if r := s.current.Load(); r != nil {
			r.Trim(0)
		}
	}
}
