package main

import (
	"context"
	"sync"
	"time"

	"github.com/platypus-platform/platypus/intent"
	"github.com/platypus-platform/platypus/store"
)

// leaseDelay is how long keys of a lost session stay locked: another session of this very node takes them at once.
const leaseDelay = time.Millisecond

// silence is how long an agent may not be heard of before the store takes it for dead.
const silence = 6 * time.Second

// lease keeps a session in the store for as long as the agent lives. Everything that this node says of itself hangs on
// it, and falls away with it.
type lease struct {
	mu      sync.Mutex
	session *store.Session
	said    *intent.Host // what the node's own key says, once it is held through the session
}

// newLease keeps a session until ctx ends; nudge is called when it comes or goes.
func newLease(ctx context.Context, s *store.Store, id string, nudge func()) *lease {
	l := &lease{}
	go func() {
		for wait := time.Second; ctx.Err() == nil; {
			session, err := s.NewCheckedSession(ctx, store.Service{ID: id, Name: "seed-placer"}, silence, leaseDelay, store.DeleteKeys)
			if err != nil {
				select {
				case <-time.After(wait):
				case <-ctx.Done():
				}
				wait = min(2*wait, 15*time.Second)
				continue
			}
			wait = time.Second
			l.set(session)
			nudge()
			select {
			case <-session.Lost():
			case <-ctx.Done():
			}
			l.set(nil)
			last, cancel := context.WithTimeout(context.WithoutCancel(ctx), time.Second)
			_ = session.Close(last)
			if ctx.Err() != nil {
				_ = s.Deregister(last, id)
			}
			cancel()
			nudge()
		}
	}()
	return l
}

func (l *lease) set(s *store.Session) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.session, l.said = s, nil
}

// get returns the session that lives, or nil, and what the node's key says that is held through it, or nil.
func (l *lease) get() (*store.Session, *intent.Host) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.session == nil || !l.session.Alive() {
		return nil, nil
	}
	return l.session, l.said
}

// join notes that the node's key is held through a session, and what it says.
func (l *lease) join(s *store.Session, said intent.Host) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.session == s {
		l.said = &said
	}
}
