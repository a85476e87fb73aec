package store

import (
	"context"
	"errors"
	"time"

	"github.com/hashicorp/consul/api"
)

// heartbeats is how often a life is told within the TTL of its check.
const heartbeats = 3

// NewCheckedSession opens a session that falls, with its keys, when the process has not been heard of for ttl: a session's
// own TTL is at least [MinTTL] and may be doubled by the store. It announces a service of that id, with a check of its own,
// at the agent that the store is reached through. Where that is refused, the session goes by its own TTL alone.
func (s *Store) NewCheckedSession(ctx context.Context, service Service, ttl, delay time.Duration, onLoss OnLoss) (*Session, error) {
	service.Check = Check{TTL: ttl}
	if err := s.Register(ctx, service); err != nil {
		if errors.Is(err, ErrDenied) {
			return s.NewSession(ctx, service.Name, MinTTL, delay, onLoss)
		}
		return nil, err
	}
	if err := s.Heard(ctx, service.ID, true, "it runs"); err != nil {
		return nil, err
	}
	short, cancel := context.WithTimeout(ctx, requestTimeout)
	defer cancel()
	asked := time.Now()
	entry := &api.SessionEntry{Name: service.Name, TTL: MinTTL.String(), Behavior: string(onLoss), LockDelay: delay,
		ServiceChecks: []api.ServiceCheck{{ID: "service:" + service.ID}}}
	id, _, err := s.client.Load().Session().Create(entry, new(api.WriteOptions).WithContext(short))
	if err != nil {
		return nil, s.explainWrite("open session "+service.Name, err)
	}
	x := &Session{id: id, store: s, lost: make(chan struct{})}
	keep, stop := context.WithCancel(context.Background())
	x.stop = stop
	go x.renew(keep, MinTTL, asked.Add(MinTTL))
	go x.beat(keep, service.ID, ttl/heartbeats)
	return x, nil
}

// beat tells the agent that the process lives, until ctx ends. A beat that does not get through is told again with the
// next one: what the store makes of silence, it finds out by itself.
func (x *Session) beat(ctx context.Context, id string, every time.Duration) {
	for ctx.Err() == nil {
		sleep(ctx, every)
		_ = x.store.Heard(ctx, id, true, "it runs")
	}
}
