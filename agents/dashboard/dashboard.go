package main

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"sync"
	"time"

	"github.com/platypus-platform/platypus/agents/dashboard/fleet"
	"github.com/platypus-platform/platypus/agents/internal/agent"
	"github.com/platypus-platform/platypus/intent"
	"github.com/platypus-platform/platypus/store"
)

// The pace of the page.
const (
	coalesceDelay = 10 * time.Millisecond  // one transaction arrives by several watches: what comes this close is one change
	renderPause   = 150 * time.Millisecond // between two renderings, however fast the store changes: a browser that is sent more than it can paint falls behind
	heartbeat     = 5 * time.Second        // how often the store is asked whether it is there, and pages are told
)

// dashboard follows the store, renders the selections that are open, and serves them.
type dashboard struct {
	agent  *agent.Agent
	mux    http.Handler
	status *storeStatus
	build  string

	mu            sync.Mutex
	fleet         *fleet.Fleet
	subscriptions map[selection]*subscription // those that somebody looks at
}

func newDashboard(a *agent.Agent, listen string) *dashboard {
	s := &dashboard{agent: a, status: newStoreStatus(), build: buildOf(), fleet: &fleet.Fleet{}, subscriptions: map[selection]*subscription{}}
	s.mux = secured(listen, s.routes())
	return s
}

// ServeHTTP serves the page, its stream and its assets.
func (s *dashboard) ServeHTTP(w http.ResponseWriter, r *http.Request) { s.mux.ServeHTTP(w, r) }

// Print writes the page as it is now.
func (s *dashboard) Print(ctx context.Context, w io.Writer) error {
	reader := fleet.NewReader(s.agent.Tree, time.Now)
	for _, prefix := range reader.Prefixes() {
		pairs, index, err := s.agent.Store.List(ctx, prefix, store.Default)
		if err != nil {
			return fmt.Errorf("read the fleet at %s: %w", s.agent.Store.Address(), err)
		}
		reader.Take(prefix, store.Snapshot{Pairs: pairs, Index: index})
	}
	s.status.record("", nil)
	s.publish(reader.Fleet())
	return s.write(w, selection{})
}

// update is what one watch brought.
type update struct {
	prefix intent.Prefix
	store.Snapshot
}

// Watch follows the store until ctx ends: one watch a prefix, and one question whether the store is there.
func (s *dashboard) Watch(ctx context.Context, heard func(intent.Prefix, error), seen func()) {
	reader := fleet.NewReader(s.agent.Tree, time.Now)
	both := func(prefix intent.Prefix, err error) {
		heard(prefix, err)
		s.status.record(prefix, err)
	}
	in := make(chan update)
	for _, prefix := range reader.Prefixes() {
		out := s.agent.Store.Watch(ctx, prefix, both)
		go func() {
			for {
				select {
				case snapshot := <-out:
					select {
					case in <- update{prefix, snapshot}:
					case <-ctx.Done():
						return
					}
				case <-ctx.Done():
					return
				}
			}
		}()
	}
	go s.probeStore(ctx, both)
	asked, past := make(chan struct{}, 1), make(chan []fleet.Commit)
	go s.followHistory(ctx, asked, past)
	s.follow(ctx, reader, updates{in, asked, past}, seen)
}

// updates are the channels from the store: the watches and, on request, the history.
type updates struct {
	parts <-chan update
	asked chan<- struct{}
	past  <-chan []fleet.Commit
}

// requestHistory asks for the history; once is enough.
func (a updates) requestHistory() {
	select {
	case a.asked <- struct{}{}:
	default:
	}
}

// probeStore finds out within a beat that the store is gone or back: a watch of a host that fell silent does not.
func (s *dashboard) probeStore(ctx context.Context, heard func(intent.Prefix, error)) {
	tick := time.NewTicker(heartbeat)
	defer tick.Stop()
	for {
		select {
		case <-tick.C:
			if _, err := s.agent.Store.Leader(ctx); ctx.Err() == nil {
				heard("", err)
			}
		case <-ctx.Done():
			return
		}
	}
}

// follow draws a new fleet whenever something came. Before everything was read once it waits, but not for ever: what
// may not be read must not hide the rest.
func (s *dashboard) follow(ctx context.Context, reader *fleet.Reader, in updates, seen func()) {
	tick := time.NewTicker(heartbeat)
	defer tick.Stop()
	read, late := false, false
	for {
		select {
		case p := <-in.parts:
			reader.Take(p.prefix, p.Snapshot)
			read = true
			for waiting := time.After(coalesceDelay); waiting != nil; {
				select {
				case p := <-in.parts:
					reader.Take(p.prefix, p.Snapshot)
				case <-waiting:
					waiting = nil
				}
			}
			if reader.Complete() || late {
				s.publish(reader.Fleet())
				seen()
				in.requestHistory()
				sleep(ctx, renderPause)
			}
		case commits := <-in.past:
			reader.Attribute(commits)
			s.publish(reader.Fleet())
		case <-tick.C:
			if read && !late && !reader.Complete() {
				s.publish(reader.Fleet())
			}
			if late = true; read {
				seen()
			}
		case <-ctx.Done():
			return
		}
	}
}

// sleep waits for d or the end of ctx.
func sleep(ctx context.Context, d time.Duration) {
	select {
	case <-time.After(d):
	case <-ctx.Done():
	}
}
