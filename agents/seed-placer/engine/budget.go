package engine

import (
	"maps"
	"sync"
	"time"

	"github.com/tetratelabs/wazero/experimental"

	"github.com/platypus-platform/platypus/intent/wasm"
)

// Budget bounds the memory that the instances of all seeds of a process have together. Each seed has a part that nobody
// else may have, enough for one instance; what is beyond all parts is had by who asks first. It is safe for use by many
// goroutines.
type Budget struct {
	// Reclaim, when set, is asked to end instances that nobody needs before memory is refused.
	Reclaim func()

	mu              sync.Mutex
	total           int64 // bytes; 0 for no bound
	used            int64
	sharedUse       int64 // of that, beyond the parts of those that use it
	totalGuaranteed int64 // the sum of all parts
	guaranteed      map[string]int64
	usedBy          map[string]int64
}

// NewBudget returns a budget without a bound.
func NewBudget() *Budget { return &Budget{guaranteed: map[string]int64{}, usedBy: map[string]int64{}} }

// Set bounds the memory to total bytes, 0 for no bound, of which each seed has its part. What is in use stays.
func (b *Budget) Set(total int64, parts map[string]int64) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.total, b.guaranteed, b.totalGuaranteed, b.sharedUse = total, maps.Clone(parts), 0, 0
	for _, n := range parts {
		b.totalGuaranteed += n
	}
	for seed, n := range b.usedBy {
		b.sharedUse += max(0, n-b.guaranteed[seed])
	}
}

// reserve gives a seed so many bytes more, or nothing.
func (b *Budget) reserve(seed string, n int64) bool {
	if b.tryReserve(seed, n) {
		return true
	}
	if b.Reclaim == nil {
		return false
	}
	b.Reclaim()
	return b.tryReserve(seed, n)
}

func (b *Budget) tryReserve(seed string, n int64) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	over := b.sharedDelta(seed, n)
	if b.total > 0 && (b.used+n > b.total || over > 0 && b.sharedUse+over > b.total-b.totalGuaranteed) {
		return false
	}
	b.add(seed, n, over)
	return true
}

// release takes bytes back.
func (b *Budget) release(seed string, n int64) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.add(seed, -n, b.sharedDelta(seed, -n))
}

// sharedDelta is how much more a seed would have beyond its part.
func (b *Budget) sharedDelta(seed string, n int64) int64 {
	has := b.usedBy[seed]
	return max(0, has+n-b.guaranteed[seed]) - max(0, has-b.guaranteed[seed])
}

func (b *Budget) add(seed string, n, over int64) {
	b.used, b.sharedUse, b.usedBy[seed] = b.used+n, b.sharedUse+over, b.usedBy[seed]+n
	if b.usedBy[seed] == 0 {
		delete(b.usedBy, seed)
	}
}

// Used is how many bytes a seed has.
func (b *Budget) Used(seed string) int64 {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.usedBy[seed]
}

// linearMemory is the memory of one instance, paid for out of a budget. Its first size is paid before it is made, for wazero
// takes no refusal of that.
type linearMemory struct {
	budget *Budget
	seed   string

	mu        sync.Mutex
	reserved  int64
	hostBytes int64 // of paid, what is not linear memory
	limit     int64 // linear memory, with the tables, globals and elements of the instance
	data      []byte
	freed     bool
}

// memoryRetryAfter is when who was refused for want of memory had better ask again.
const memoryRetryAfter = time.Second

// newMemory pays for the first size of an instance's memory, and for all that its tables may ever have.
func (s *Seed) newMemory() (*linearMemory, error) {
	extra := s.Facts.Extra()
	m := &linearMemory{budget: s.budget, seed: s.Name, reserved: int64(s.Facts.MinPages)*int64(wasm.PageSize) + extra, hostBytes: extra,
		limit: int64(s.Memory) - extra}
	if !s.budget.reserve(s.Name, m.reserved) {
		return nil, &Error{Code: Overloaded, Text: "this node has no memory left for another instance of " + s.Name, RetryAfter: memoryRetryAfter}
	}
	return m, nil
}

// Allocate implements experimental.MemoryAllocator, for the one memory that a module has.
func (m *linearMemory) Allocate(room, _ uint64) experimental.LinearMemory {
	m.data = make([]byte, 0, room)
	return m
}

// Reallocate implements experimental.LinearMemory. What was refused, the seed is told as by a machine that has no more.
func (m *linearMemory) Reallocate(size uint64) []byte {
	m.mu.Lock()
	defer m.mu.Unlock()
	more := int64(size) - (m.reserved - m.hostBytes)
	if m.freed || int64(size) > m.limit || more > 0 && !m.budget.reserve(m.seed, more) {
		return nil
	}
	m.reserved += max(0, more)
	if size > uint64(cap(m.data)) {
		m.data = append(m.data, make([]byte, size-uint64(len(m.data)))...)
	}
	m.data = m.data[:size]
	return m.data
}

// reserveHost pays for bytes that the host keeps for the instance, and reports whether there were so many.
func (m *linearMemory) reserveHost(n int64) bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.freed || !m.budget.reserve(m.seed, n) {
		return false
	}
	m.reserved, m.hostBytes = m.reserved+n, m.hostBytes+n
	return true
}

// releaseHost gives back what hold paid for.
func (m *linearMemory) releaseHost(n int64) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if !m.freed && n > 0 {
		m.budget.release(m.seed, n)
		m.reserved, m.hostBytes = m.reserved-n, m.hostBytes-n
	}
}

// Free implements experimental.LinearMemory. It may be called more than once.
func (m *linearMemory) Free() {
	m.mu.Lock()
	defer m.mu.Unlock()
	if !m.freed {
		m.budget.release(m.seed, m.reserved)
	}
	m.freed, m.data = true, nil
}
