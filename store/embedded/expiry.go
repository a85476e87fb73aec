package embedded

import (
	"context"
	"sync"
	"time"

	iradix "github.com/hashicorp/go-immutable-radix/v2"
)

// all lists the values of a tree in the order of their keys.
func all[T any](t *iradix.Tree[T]) []T {
	values := make([]T, 0, t.Len())
	t.Root().Walk(func(_ []byte, value T) bool {
		values = append(values, value)
		return false
	})
	return values
}

// expiry ends sessions that nobody renews. It goes by the monotonic clock, so setting the wall clock ends nothing.
type expiry struct {
	store  *Store
	mu     sync.Mutex
	timers map[string]*time.Timer
	ends   map[string]time.Time
	closed bool
}

func (x *expiry) init(s *Store) {
	x.store, x.timers, x.ends = s, map[string]*time.Timer{}, map[string]time.Time{}
}

// renew gives a session its whole life again.
func (x *expiry) renew(s *session) {
	life := s.life()
	if life == 0 {
		return
	}
	x.mu.Lock()
	defer x.mu.Unlock()
	if x.closed {
		return
	}
	x.ends[s.ID] = time.Now().Add(life)
	if timer := x.timers[s.ID]; timer != nil {
		timer.Reset(life)
		return
	}
	x.timers[s.ID] = time.AfterFunc(life, func() { x.expire(s.ID) })
}

// forget stops the clock of a session that is gone.
func (x *expiry) forget(id string) {
	x.mu.Lock()
	defer x.mu.Unlock()
	if timer := x.timers[id]; timer != nil {
		timer.Stop()
	}
	delete(x.timers, id)
	delete(x.ends, id)
}

// due reports whether a session has not been renewed in time.
func (x *expiry) due(id string) bool {
	x.mu.Lock()
	defer x.mu.Unlock()
	end, known := x.ends[id]
	return known && !time.Now().Before(end)
}

// expire ends a session unless it was renewed meanwhile; a disk that refuses is asked again.
func (x *expiry) expire(id string) {
	_, err := x.store.propose(context.Background(), func(c *change) (any, error) {
		if x.due(id) {
			x.store.end(c, id)
		}
		return nil, nil
	})
	if err == nil {
		return
	}
	x.mu.Lock()
	defer x.mu.Unlock()
	if timer := x.timers[id]; timer != nil && !x.closed {
		timer.Reset(time.Second)
	}
}

// end ends a session within a change and stops its clock once that is durable.
func (s *Store) end(c *change, id string) {
	c.endSession(id, &s.delays)
	c.after = append(c.after, func() { s.expiry.forget(id) })
}

func (x *expiry) stop() {
	x.mu.Lock()
	defer x.mu.Unlock()
	x.closed = true
	for _, timer := range x.timers {
		timer.Stop()
	}
}
