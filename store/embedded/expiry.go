package embedded

import (
	"context"
	"sync"
	"time"

	iradix "github.com/hashicorp/go-immutable-radix/v2"
)

// valuesOf lists the values of a tree in key order.
func valuesOf[T any](t *iradix.Tree[T]) []T {
	list := make([]T, 0, t.Len())
	t.Root().Walk(func(_ []byte, value T) bool {
		list = append(list, value)
		return false
	})
	return list
}

// expiry ends sessions that are not renewed. It uses the monotonic clock, so setting the wall clock ends none.
type expiry struct {
	store     *Store
	mu        sync.Mutex
	timers    map[string]*time.Timer
	deadlines map[string]time.Time
	closed    bool
}

func (e *expiry) init(s *Store) {
	e.store, e.timers, e.deadlines = s, map[string]*time.Timer{}, map[string]time.Time{}
}

// renew restarts the timer of a session.
func (e *expiry) renew(s *session) {
	lifetime := s.lifetime()
	if lifetime == 0 {
		return
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.closed {
		return
	}
	e.deadlines[s.ID] = time.Now().Add(lifetime)
	if timer := e.timers[s.ID]; timer != nil {
		timer.Reset(lifetime)
		return
	}
	e.timers[s.ID] = time.AfterFunc(lifetime, func() { e.expireSession(s.ID) })
}

// remove stops the timer of a session that ended.
func (e *expiry) remove(id string) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if timer := e.timers[id]; timer != nil {
		timer.Stop()
	}
	delete(e.timers, id)
	delete(e.deadlines, id)
}

// expired reports whether the deadline of a session has passed.
func (e *expiry) expired(id string) bool {
	e.mu.Lock()
	defer e.mu.Unlock()
	end, known := e.deadlines[id]
	return known && !time.Now().Before(end)
}

// expireSession ends a session unless it was renewed in the meantime. It retries when the disk rejects the write.
func (e *expiry) expireSession(id string) {
	_, err := e.store.submit(context.Background(), func(m *mutation) (any, error) {
		if e.expired(id) {
			e.store.endSession(m, id)
		}
		return nil, nil
	})
	if err == nil {
		return
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	if timer := e.timers[id]; timer != nil && !e.closed {
		timer.Reset(time.Second)
	}
}

// endSession ends a session within a mutation and stops its timer once that is durable.
func (s *Store) endSession(m *mutation, id string) {
	m.endSession(id, &s.delays)
	m.onCommit = append(m.onCommit, func() { s.expiry.remove(id) })
}

func (e *expiry) stop() {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.closed = true
	for _, timer := range e.timers {
		timer.Stop()
	}
}
