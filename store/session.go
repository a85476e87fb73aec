package store

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/hashicorp/consul/api"
)

// Session is a lease in the store: keys held by it are released or deleted if it is not renewed. It is renewed every
// third of its TTL until it is closed or lost. A lock under it is advisory; check Lost right before acting under one.
type Session struct {
	id    string
	store *Store
	lost  chan struct{}
	stop  context.CancelFunc
	once  sync.Once
}

// OnLoss is what happens to the keys of a session that ends.
type OnLoss string

// The actions.
const (
	ReleaseKeys OnLoss = api.SessionBehaviorRelease
	DeleteKeys  OnLoss = api.SessionBehaviorDelete
)

// MinTTL is the shortest TTL that Consul accepts.
const MinTTL = 10 * time.Second

// NewSession opens a session with the name of its holder. It ends ttl to 2·ttl after the last renewal. delay is how
// long its keys stay locked once it was lost rather than closed; 0 means Consul's default of 15 s.
func (s *Store) NewSession(ctx context.Context, name string, ttl, delay time.Duration, onLoss OnLoss) (*Session, error) {
	ctx, cancel := context.WithTimeout(ctx, requestTimeout)
	defer cancel()
	sent := time.Now()
	entry := &api.SessionEntry{Name: name, TTL: ttl.String(), Behavior: string(onLoss), LockDelay: delay}
	id, _, err := s.client.Load().Session().CreateNoChecks(entry, new(api.WriteOptions).WithContext(ctx))
	if err != nil {
		return nil, s.classifyWrite("open session "+name, err)
	}
	x := &Session{id: id, store: s, lost: make(chan struct{})}
	background, stop := context.WithCancel(context.Background())
	x.stop = stop
	go x.renew(background, ttl, sent.Add(ttl))
	return x, nil
}

// Lost returns a channel that closes when the session was not renewed in time, no longer exists or was closed.
func (x *Session) Lost() <-chan struct{} { return x.lost }

// Alive reports whether the session is neither lost nor closed.
func (x *Session) Alive() bool {
	select {
	case <-x.lost:
		return false
	default:
		return true
	}
}

// Acquire locks key for this session and writes value to it. It returns false if another session holds the key.
func (x *Session) Acquire(ctx context.Context, key string, value []byte) (bool, error) {
	ctx, cancel := context.WithTimeout(ctx, requestTimeout)
	defer cancel()
	pair := &api.KVPair{Key: key, Value: value, Session: x.id}
	ok, _, err := x.store.kv().Acquire(pair, new(api.WriteOptions).WithContext(ctx))
	return ok, x.store.classifyWrite("acquire "+key, err)
}

// Release unlocks key.
func (x *Session) Release(ctx context.Context, key string) error {
	ctx, cancel := context.WithTimeout(ctx, requestTimeout)
	defer cancel()
	pair := &api.KVPair{Key: key, Session: x.id}
	_, _, err := x.store.kv().Release(pair, new(api.WriteOptions).WithContext(ctx))
	return x.store.classifyWrite("release "+key, err)
}

// Close ends the session at once; its keys are released or deleted, and can be acquired again after the delay.
func (x *Session) Close(ctx context.Context) error {
	x.markLost()
	ctx, cancel := context.WithTimeout(ctx, requestTimeout)
	defer cancel()
	_, err := x.store.client.Load().Session().Destroy(x.id, new(api.WriteOptions).WithContext(ctx))
	return x.store.classifyWrite("close session", err)
}

// Holder returns the session that holds key, "" for none, and the value of the key.
func (s *Store) Holder(ctx context.Context, key string) (session string, value []byte, err error) {
	ctx, cancel := context.WithTimeout(ctx, requestTimeout)
	defer cancel()
	pair, _, err := s.kv().Get(key, new(api.QueryOptions).WithContext(ctx))
	if err != nil || pair == nil {
		return "", nil, s.classify("read "+key, err)
	}
	return pair.Session, pair.Value, nil
}

// EndSession ends a session whose holder is known to be gone, like [Session.Close].
func (s *Store) EndSession(ctx context.Context, id string) error {
	ctx, cancel := context.WithTimeout(ctx, requestTimeout)
	defer cancel()
	_, err := s.client.Load().Session().Destroy(id, new(api.WriteOptions).WithContext(ctx))
	return s.classifyWrite("end session", err)
}

func (x *Session) markLost() {
	x.once.Do(func() {
		x.stop()
		close(x.lost)
	})
}

// renew renews the session until ctx ends. The session is lost when a full TTL has passed since the last successful
// renewal was sent, even if the store still has it: from then on the store may give its keys to another.
func (x *Session) renew(ctx context.Context, ttl time.Duration, deadline time.Time) {
	defer x.markLost()
	for wait := ttl / 3; ; {
		sleep(ctx, min(wait, time.Until(deadline)))
		sent := time.Now()
		if ctx.Err() != nil || !sent.Before(deadline) {
			return
		}
		switch err := x.renewOnce(ctx, deadline); {
		case err == nil:
			deadline, wait = sent.Add(ttl), ttl/3
		case errors.Is(err, errSessionLost):
			return
		default:
			wait = min(time.Second, ttl/3)
		}
	}
}

func (x *Session) renewOnce(ctx context.Context, deadline time.Time) error {
	ctx, cancel := context.WithDeadline(ctx, deadline)
	defer cancel()
	entry, _, err := x.store.client.Load().Session().Renew(x.id, new(api.WriteOptions).WithContext(ctx))
	if err == nil && entry == nil {
		return fmt.Errorf("renew session %s: %w", x.id, errSessionLost)
	}
	return x.store.classify("renew session", err)
}

// errSessionLost means that the store no longer has the session.
var errSessionLost = errors.New("session lost")
