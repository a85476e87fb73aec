package engine

import (
	"maps"
	"sync"
	"time"

	"github.com/tetratelabs/wazero/experimental"

	"github.com/platypus-platform/platypus/intent/wasm"
)

// Budget limits the memory of all instances of a process. Each seed has a guaranteed part, enough for one instance;
// the rest is shared first come, first served. It is safe for concurrent use.
type Budget struct {
	// Reclaim, when set, is called to end idle instances before memory is refused.
	Reclaim func()

	mu              sync.Mutex
	total           int64 // bytes; 0 for no limit
	used            int64
	sharedUse       int64 // part of used that is beyond the guaranteed parts
	totalGuaranteed int64 // sum of guaranteed
	guaranteed      map[string]int64
	usedBy          map[string]int64
}

// NewBudget returns a budget without a limit.
func NewBudget() *Budget { return &Budget{guaranteed: map[string]int64{}, usedBy: map[string]int64{}} }

// Set changes the limit to total bytes, 0 for none, and the guaranteed part of each seed. Memory in use stays.
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

// reserve adds n bytes to a seed, and reports whether they were available.
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

// release returns n bytes.
func (b *Budget) release(seed string, n int64) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.add(seed, -n, b.sharedDelta(seed, -n))
}

// sharedDelta returns by how much a change of n bytes changes a seed's use of the shared part.
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

// Used returns the bytes of a seed.
func (b *Budget) Used(seed string) int64 {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.usedBy[seed]
}

// linearMemory is the memory of one instance, charged to a budget. Its initial size is reserved before it is
// allocated, because wazero cannot handle a refusal there.
type linearMemory struct {
	budget *Budget
	seed   string

	mu        sync.Mutex
	reserved  int64
	hostBytes int64 // part of reserved that is not linear memory
	limit     int64 // of linear memory
	data      []byte
	freed     bool
}

// memoryRetryAfter is the retry delay suggested when memory was refused.
const memoryRetryAfter = time.Second

// newMemory reserves the initial size of an instance's memory and the maximum size of its tables.
func (s *Seed) newMemory() (*linearMemory, error) {
	extra := s.Facts.Extra()
	m := &linearMemory{budget: s.budget, seed: s.Name, reserved: int64(s.Facts.MinPages)*int64(wasm.PageSize) + extra, hostBytes: extra,
		limit: int64(s.Memory) - extra}
	if !s.budget.reserve(s.Name, m.reserved) {
		return nil, &Error{Code: Overloaded, Text: "this node has no memory left for another instance of " + s.Name, RetryAfter: memoryRetryAfter}
	}
	return m, nil
}

// Allocate implements experimental.MemoryAllocator. A module has only one memory.
func (m *linearMemory) Allocate(room, _ uint64) experimental.LinearMemory {
	m.data = make([]byte, 0, room)
	return m
}

// Reallocate implements experimental.LinearMemory. For the seed a refusal looks like a machine without free memory.
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

// reserveHost reserves bytes that the host keeps for the instance, and reports whether they were available.
func (m *linearMemory) reserveHost(n int64) bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.freed || !m.budget.reserve(m.seed, n) {
		return false
	}
	m.reserved, m.hostBytes = m.reserved+n, m.hostBytes+n
	return true
}

// releaseHost releases bytes reserved by reserveHost.
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
