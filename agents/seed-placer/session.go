package main

import (
	"context"
	"sync"
	"time"

	"github.com/platypus-platform/platypus/intent"
	"github.com/platypus-platform/platypus/store"
)

// lockDelay is how long keys of a lost session stay locked. It is short because only this node takes them again.
const lockDelay = time.Millisecond

// agentTimeout is how long the store waits for a heartbeat before it considers the agent dead.
const agentTimeout = 6 * time.Second

// sessionKeeper keeps a session in the store while the agent lives. The node's announcements are keys that the store
// deletes with the session.
type sessionKeeper struct {
	mu        sync.Mutex
	session   *store.Session
	announced *intent.Host // value of the node's own key, once it is held through the session
}

// newSessionKeeper keeps a session until ctx ends. It calls onChange when one is created or lost.
func newSessionKeeper(ctx context.Context, s *store.Store, id string, onChange func()) *sessionKeeper {
	l := &sessionKeeper{}
	go func() {
		for wait := time.Second; ctx.Err() == nil; {
			session, err := s.NewCheckedSession(ctx, store.Service{ID: id, Name: "seed-placer"}, agentTimeout, lockDelay, store.DeleteKeys)
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
			onChange()
			select {
			case <-session.Lost():
			case <-ctx.Done():
			}
			l.set(nil)
			closeCtx, cancel := context.WithTimeout(context.WithoutCancel(ctx), time.Second)
			_ = session.Close(closeCtx)
			if ctx.Err() != nil {
				_ = s.Deregister(closeCtx, id)
			}
			cancel()
			onChange()
		}
	}()
	return l
}

func (l *sessionKeeper) set(s *store.Session) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.session, l.announced = s, nil
}

// get returns the live session and the value of the node's key that is held through it; each may be nil.
func (l *sessionKeeper) get() (*store.Session, *intent.Host) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.session == nil || !l.session.Alive() {
		return nil, nil
	}
	return l.session, l.announced
}

// setAnnounced records that the node's key is held through s, and its value.
func (l *sessionKeeper) setAnnounced(s *store.Session, host intent.Host) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.session == s {
		l.announced = &host
	}
}
