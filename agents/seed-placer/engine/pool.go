package engine

import (
	"sync"
	"time"
)

// pool keeps the idle instances of a seed, the most recently used on top.
type pool struct {
	seed   *Seed
	mu     sync.Mutex
	idle   []*instance
	closed bool
}

// get returns an idle instance or a new one. The caller limits how many there are.
func (p *pool) get(deadline time.Time) (*instance, error) {
	p.mu.Lock()
	if p.closed {
		p.mu.Unlock()
		return nil, &Error{Code: Unavailable, Text: "the seed is being taken away"}
	}
	if n := len(p.idle) - 1; n >= 0 {
		i := p.idle[n]
		p.idle[n] = nil
		p.idle = p.idle[:n]
		p.mu.Unlock()
		return i, nil
	}
	p.mu.Unlock()
	if limit := time.Now().Add(p.seed.startTimeout()); deadline.IsZero() || deadline.After(limit) {
		deadline = limit
	}
	return p.seed.instantiate(deadline)
}

func (p *pool) put(i *instance) {
	p.mu.Lock()
	if !p.closed {
		p.idle = append(p.idle, i)
		p.mu.Unlock()
		return
	}
	p.mu.Unlock()
	i.end()
}

// trim ends all idle instances but keep, and returns how many are left.
func (p *pool) trim(keep int) int {
	p.mu.Lock()
	var ended []*instance
	if n := len(p.idle) - keep; n > 0 {
		ended = append(ended, p.idle[:n]...)
		p.idle = append(p.idle[:0], p.idle[n:]...)
	}
	left := len(p.idle)
	p.mu.Unlock()
	for _, i := range ended {
		i.end()
	}
	return left
}

func (p *pool) close() {
	p.mu.Lock()
	p.closed = true
	p.mu.Unlock()
	p.trim(0)
}

// Trim ends all idle instances but keep, and returns how many are left.
func (s *Seed) Trim(keep int) int { return s.pool.trim(keep) }

// Idle returns the number of idle instances.
func (s *Seed) Idle() int {
	s.pool.mu.Lock()
	defer s.pool.mu.Unlock()
	return len(s.pool.idle)
}
