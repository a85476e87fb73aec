package store

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/hashicorp/consul/api"
)

// Session is a sign of life in the store: what is held through it falls away when it is not renewed. It is renewed
// every third of its TTL until it is closed or lost. A lock under it is advisory; whoever acts under one asks Lost
// right before acting.
type Session struct {
	id    string
	store *Store
	lost  chan struct{}
	stop  context.CancelFunc
	once  sync.Once
}

// OnLoss is what becomes of the keys of a session that ends.
type OnLoss string

// What may become of them.
const (
	ReleaseKeys OnLoss = api.SessionBehaviorRelease
	DeleteKeys  OnLoss = api.SessionBehaviorDelete
)

// MinTTL is the shortest time a session may live without being renewed.
const MinTTL = 10 * time.Second

// NewSession opens a session that says who holds it. After ttl without renewal it is gone, at the latest after twice
// that. delay is how long keys that it held stay locked once it was lost rather than closed; 0 means Consul's 15 s.
func (s *Store) NewSession(ctx context.Context, name string, ttl, delay time.Duration, onLoss OnLoss) (*Session, error) {
	ctx, cancel := context.WithTimeout(ctx, requestTimeout)
	defer cancel()
	asked := time.Now()
	entry := &api.SessionEntry{Name: name, TTL: ttl.String(), Behavior: string(onLoss), LockDelay: delay}
	id, _, err := s.client.Load().Session().CreateNoChecks(entry, new(api.WriteOptions).WithContext(ctx))
	if err != nil {
		return nil, s.explainWrite("open session "+name, err)
	}
	x := &Session{id: id, store: s, lost: make(chan struct{})}
	keep, stop := context.WithCancel(context.Background())
	x.stop = stop
	go x.renew(keep, ttl, asked.Add(ttl))
	return x, nil
}

// Lost is closed when the session was not renewed in time, or is known to be gone, or was closed.
func (x *Session) Lost() <-chan struct{} { return x.lost }

// Alive reports whether the session still counts.
func (x *Session) Alive() bool {
	select {
	case <-x.lost:
		return false
	default:
		return true
	}
}

// Acquire takes key for this session and writes value to it. It returns false when another session holds the key.
func (x *Session) Acquire(ctx context.Context, key string, value []byte) (bool, error) {
	ctx, cancel := context.WithTimeout(ctx, requestTimeout)
	defer cancel()
	pair := &api.KVPair{Key: key, Value: value, Session: x.id}
	ok, _, err := x.store.kv().Acquire(pair, new(api.WriteOptions).WithContext(ctx))
	return ok, x.store.explainWrite("acquire "+key, err)
}

// Release gives key back, keeping its value.
func (x *Session) Release(ctx context.Context, key string) error {
	ctx, cancel := context.WithTimeout(ctx, requestTimeout)
	defer cancel()
	pair := &api.KVPair{Key: key, Session: x.id}
	_, _, err := x.store.kv().Release(pair, new(api.WriteOptions).WithContext(ctx))
	return x.store.explainWrite("release "+key, err)
}

// Close ends the session at once; its keys are released or deleted, and may be taken again after the delay.
func (x *Session) Close(ctx context.Context) error {
	x.end()
	ctx, cancel := context.WithTimeout(ctx, requestTimeout)
	defer cancel()
	_, err := x.store.client.Load().Session().Destroy(x.id, new(api.WriteOptions).WithContext(ctx))
	return x.store.explainWrite("close session", err)
}

// Holder returns the session that holds key, "" when none does, and the value of the key.
func (s *Store) Holder(ctx context.Context, key string) (session string, value []byte, err error) {
	ctx, cancel := context.WithTimeout(ctx, requestTimeout)
	defer cancel()
	pair, _, err := s.kv().Get(key, new(api.QueryOptions).WithContext(ctx))
	if err != nil || pair == nil {
		return "", nil, s.explain("read "+key, err)
	}
	return pair.Session, pair.Value, nil
}

// EndSession ends a session whose holder is known to be gone, as [Session.Close] would have done.
func (s *Store) EndSession(ctx context.Context, id string) error {
	ctx, cancel := context.WithTimeout(ctx, requestTimeout)
	defer cancel()
	_, err := s.client.Load().Session().Destroy(id, new(api.WriteOptions).WithContext(ctx))
	return s.explainWrite("end session", err)
}

func (x *Session) end() {
	x.once.Do(func() {
		x.stop()
		close(x.lost)
	})
}

// renew keeps the session until ctx ends. It is lost when a whole TTL has passed since the last renewal was asked for,
// whatever the store thinks: from then on the store may have given its keys to another.
func (x *Session) renew(ctx context.Context, ttl time.Duration, deadline time.Time) {
	defer x.end()
	for wait := ttl / 3; ; {
		sleep(ctx, min(wait, time.Until(deadline)))
		asked := time.Now()
		if ctx.Err() != nil || !asked.Before(deadline) {
			return
		}
		switch err := x.renewOnce(ctx, deadline); {
		case err == nil:
			deadline, wait = asked.Add(ttl), ttl/3
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
	return x.store.explain("renew session", err)
}

// errSessionLost says that the store no longer knows a session.
var errSessionLost = errors.New("session lost")
