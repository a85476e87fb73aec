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

	mu    sync.Mutex
	total int64 // bytes; 0 for no bound
	used  int64
	over  int64 // of that, beyond the parts of those that use it
	parts int64 // the sum of all parts
	part  map[string]int64
	has   map[string]int64
}

// NewBudget returns a budget without a bound.
func NewBudget() *Budget { return &Budget{part: map[string]int64{}, has: map[string]int64{}} }

// Set bounds the memory to total bytes, 0 for no bound, of which each seed has its part. What is in use stays.
func (b *Budget) Set(total int64, parts map[string]int64) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.total, b.part, b.parts, b.over = total, maps.Clone(parts), 0, 0
	for _, n := range parts {
		b.parts += n
	}
	for seed, n := range b.has {
		b.over += max(0, n-b.part[seed])
	}
}

// take gives a seed so many bytes more, or nothing.
func (b *Budget) take(seed string, n int64) bool {
	if b.try(seed, n) {
		return true
	}
	if b.Reclaim == nil {
		return false
	}
	b.Reclaim()
	return b.try(seed, n)
}

func (b *Budget) try(seed string, n int64) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	over := b.beyond(seed, n)
	if b.total > 0 && (b.used+n > b.total || over > 0 && b.over+over > b.total-b.parts) {
		return false
	}
	b.add(seed, n, over)
	return true
}

// give takes bytes back.
func (b *Budget) give(seed string, n int64) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.add(seed, -n, b.beyond(seed, -n))
}

// beyond is how much more a seed would have beyond its part.
func (b *Budget) beyond(seed string, n int64) int64 {
	has := b.has[seed]
	return max(0, has+n-b.part[seed]) - max(0, has-b.part[seed])
}

func (b *Budget) add(seed string, n, over int64) {
	b.used, b.over, b.has[seed] = b.used+n, b.over+over, b.has[seed]+n
	if b.has[seed] == 0 {
		delete(b.has, seed)
	}
}

// Used is how many bytes a seed has.
func (b *Budget) Used(seed string) int64 {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.has[seed]
}

// linear is the memory of one instance, paid for out of a budget. Its first size is paid before it is made, for wazero
// takes no refusal of that.
type linear struct {
	budget *Budget
	seed   string

	mu    sync.Mutex
	paid  int64
	extra int64 // of paid, what is not linear memory
	most  int64 // linear memory, with the tables, globals and elements of the instance
	data  []byte
	gone  bool
}

// memoryAfter is when who was refused for want of memory had better ask again.
const memoryAfter = time.Second

// memory pays for the first size of an instance's memory, and for all that its tables may ever have.
func (s *Seed) memory() (*linear, error) {
	extra := s.Facts.Extra()
	m := &linear{budget: s.budget, seed: s.Name, paid: int64(s.Facts.MinPages)*int64(wasm.PageSize) + extra, extra: extra,
		most: int64(s.Memory) - extra}
	if !s.budget.take(s.Name, m.paid) {
		return nil, &Error{Code: Overloaded, Text: "this node has no memory left for another instance of " + s.Name, RetryAfter: memoryAfter}
	}
	return m, nil
}

// Allocate implements experimental.MemoryAllocator, for the one memory that a module has.
func (m *linear) Allocate(room, _ uint64) experimental.LinearMemory {
	m.data = make([]byte, 0, room)
	return m
}

// Reallocate implements experimental.LinearMemory. What was refused, the seed is told as by a machine that has no more.
func (m *linear) Reallocate(size uint64) []byte {
	m.mu.Lock()
	defer m.mu.Unlock()
	more := int64(size) - (m.paid - m.extra)
	if m.gone || int64(size) > m.most || more > 0 && !m.budget.take(m.seed, more) {
		return nil
	}
	m.paid += max(0, more)
	if size > uint64(cap(m.data)) {
		m.data = append(m.data, make([]byte, size-uint64(len(m.data)))...)
	}
	m.data = m.data[:size]
	return m.data
}

// hold pays for bytes that the host keeps for the instance, and reports whether there were so many.
func (m *linear) hold(n int64) bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.gone || !m.budget.take(m.seed, n) {
		return false
	}
	m.paid, m.extra = m.paid+n, m.extra+n
	return true
}

// drop gives back what hold paid for.
func (m *linear) drop(n int64) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if !m.gone && n > 0 {
		m.budget.give(m.seed, n)
		m.paid, m.extra = m.paid-n, m.extra-n
	}
}

// Free implements experimental.LinearMemory. It may be called more than once.
func (m *linear) Free() {
	m.mu.Lock()
	defer m.mu.Unlock()
	if !m.gone {
		m.budget.give(m.seed, m.paid)
	}
	m.gone, m.data = true, nil
}
