package store

import (
	"context"
	"errors"
	"time"

	"github.com/hashicorp/consul/api"
)

// heartbeats is how often the TTL check is updated per TTL.
const heartbeats = 3

// NewCheckedSession opens a session that ends, with its keys, when the process has not updated a TTL check for ttl. A
// session's own TTL is at least [MinTTL], and the store may double it. It registers a service of that ID with the check
// at the local agent. If that is denied, the session depends on its own TTL alone.
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
	sent := time.Now()
	entry := &api.SessionEntry{Name: service.Name, TTL: MinTTL.String(), Behavior: string(onLoss), LockDelay: delay,
		ServiceChecks: []api.ServiceCheck{{ID: "service:" + service.ID}}}
	id, _, err := s.client.Load().Session().Create(entry, new(api.WriteOptions).WithContext(short))
	if err != nil {
		return nil, s.classifyWrite("open session "+service.Name, err)
	}
	x := &Session{id: id, store: s, lost: make(chan struct{})}
	background, stop := context.WithCancel(context.Background())
	x.stop = stop
	go x.renew(background, MinTTL, sent.Add(MinTTL))
	go x.heartbeat(background, service.ID, ttl/heartbeats)
	return x, nil
}

// heartbeat updates the TTL check until ctx ends. It does not retry failed updates: the next one follows soon, and the
// store handles a missed TTL itself.
func (x *Session) heartbeat(ctx context.Context, id string, every time.Duration) {
	for ctx.Err() == nil {
		sleep(ctx, every)
		_ = x.store.Heard(ctx, id, true, "it runs")
	}
}
