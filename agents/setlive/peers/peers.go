// Package peers keeps nodes of a cluster from stopping an app all at once. While a node wants to stop a healthy
// instance it takes the cluster's lease and asks how many instances elsewhere are healthy. Both go on in the
// background; what is known is an observation.
//
// The lease is a key that is held through a session: it falls free when its holder dies. Its value says who holds it
// and why.
package peers

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/platypus-platform/platypus/intent"
	"github.com/platypus-platform/platypus/store"
)

// Times of the lease.
const (
	ttl       = store.MinTTL
	lockDelay = time.Second // after a holder was lost; it notices by itself when it cannot renew for a whole ttl
	again     = time.Second // between two looks

	givingBack = 500 * time.Millisecond
	confirming = 3 * time.Second // well within ttl: what is confirmed then still holds
)

// Wish is a lease that is wanted.
type Wish struct {
	App, Cluster string
	Why          string // for whoever waits for it
}

// Seen is what is known of the cluster of a wish.
type Seen struct {
	Asked   bool
	Held    bool
	Healthy int    // instances on other nodes
	Reason  string // why it is not held, or what cannot be known
}

// Peers watches the clusters of the wishes.
type Peers struct {
	store *store.Store
	tree  intent.Tree
	node  intent.Name
	wake  chan struct{}

	mu     sync.Mutex
	leases map[Wish]*lease
}

type lease struct {
	seen    Seen
	session *store.Session
	value   []byte // that the key was taken with
	stop    context.CancelFunc
	ended   chan struct{} // closed once it is given back
}

// New returns peers with no wishes.
func New(s *store.Store, tree intent.Tree, node intent.Name) *Peers {
	return &Peers{store: s, tree: tree, node: node, wake: make(chan struct{}, 1), leases: map[Wish]*lease{}}
}

// Wake carries a value when something known has changed.
func (p *Peers) Wake() <-chan struct{} { return p.wake }

// Want makes the wishes exactly these. A lease that is no longer wanted is given back, which is waited for, but not
// for long: the store may be away.
func (p *Peers) Want(wishes []Wish) {
	patience := time.After(givingBack)
	for _, l := range p.change(wishes) {
		select {
		case <-l.ended:
		case <-patience:
			return
		}
	}
}

// change takes over the wishes and returns the leases that end.
func (p *Peers) change(wishes []Wish) (ending []*lease) {
	p.mu.Lock()
	defer p.mu.Unlock()
	wanted := map[Wish]bool{}
	for _, w := range wishes {
		wanted[w] = true
		if p.leases[w] == nil {
			ctx, stop := context.WithCancel(context.Background())
			l := &lease{stop: stop, ended: make(chan struct{})}
			p.leases[w] = l
			go p.run(ctx, w, l)
		}
	}
	for w, l := range p.leases {
		if !wanted[w] {
			l.stop()
			delete(p.leases, w)
			ending = append(ending, l)
		}
	}
	return ending
}

// Seen returns what is known, by app.
func (p *Peers) Seen() map[string]Seen {
	p.mu.Lock()
	defer p.mu.Unlock()
	seen := make(map[string]Seen, len(p.leases))
	for w, l := range p.leases {
		s := l.seen
		s.Held = s.Held && l.session != nil && l.session.Alive()
		seen[w.App] = s
	}
	return seen
}

// Confirm is asked right before acting: it takes the lease for an app once more, which the store grants only to who
// holds it already. So a lease that was lost without our having noticed stops nobody here.
func (p *Peers) Confirm(ctx context.Context, app string) error {
	p.mu.Lock()
	var mine lease
	var wish Wish
	for w, l := range p.leases {
		if w.App == app && l.seen.Held && l.session != nil && l.session.Alive() {
			wish, mine.session, mine.value = w, l.session, l.value
		}
	}
	p.mu.Unlock()
	if mine.session == nil {
		return errLost
	}
	ctx, cancel := context.WithTimeout(ctx, confirming)
	defer cancel()
	switch ok, err := mine.session.Acquire(ctx, p.key(wish), mine.value); {
	case err != nil:
		return fmt.Errorf("whether the cluster's lease is still held is not known: %w", err)
	case !ok || !mine.session.Alive():
		p.mu.Lock()
		defer p.mu.Unlock()
		if l := p.leases[wish]; l != nil {
			l.seen.Held = false // it is to be taken anew
		}
		return errLost
	}
	return nil
}

var errLost = errors.New("the cluster's lease was lost")

// Close gives every lease back.
func (p *Peers) Close() { p.Want(nil) }

// run keeps one wish until ctx ends.
func (p *Peers) run(ctx context.Context, w Wish, l *lease) {
	defer close(l.ended)
	for ctx.Err() == nil {
		seen := p.look(ctx, w, l)
		p.mu.Lock()
		changed := l.seen != seen
		l.seen = seen
		p.mu.Unlock()
		if changed && ctx.Err() == nil {
			select {
			case p.wake <- struct{}{}:
			default:
			}
		}
		select {
		case <-time.After(again):
		case <-ctx.Done():
		}
	}
	if s := l.session; s != nil {
		last, cancel := context.WithTimeout(context.WithoutCancel(ctx), 2*time.Second)
		defer cancel()
		// Given back before the session ends, the key is free at once; if the store does not hear it, the session runs out.
		_ = s.Release(last, p.key(w))
		_ = s.Close(last)
	}
}

func (p *Peers) look(ctx context.Context, w Wish, l *lease) Seen {
	held, reason := p.take(ctx, w, l)
	seen := Seen{Asked: true, Held: held, Reason: reason}
	if !held {
		return seen
	}
	instances, err := p.store.Instances(ctx, w.App)
	if err != nil {
		return Seen{Asked: true, Reason: fmt.Sprintf("the health of the other nodes is not known: %v", err)}
	}
	for _, i := range instances {
		if i.Passing && i.Meta["cluster"] == w.Cluster && i.Meta["node"] != string(p.node) {
			seen.Healthy++
		}
	}
	return seen
}

func (p *Peers) key(w Wish) string {
	return p.tree.Lock(intent.Name(w.App), intent.Name(w.Cluster), "switch")
}

// holder is the value of a lease.
type holder struct {
	Node  intent.Name `json:"node"`
	Why   string      `json:"why"`
	Since time.Time   `json:"since"`
}

// take acquires the lease unless it is held already.
func (p *Peers) take(ctx context.Context, w Wish, l *lease) (bool, string) {
	if l.session == nil || !l.session.Alive() {
		name := fmt.Sprintf("platypus setlive %s/%s on %s", w.App, w.Cluster, p.node)
		s, err := p.store.NewSession(ctx, name, ttl, lockDelay, store.ReleaseKeys)
		if err != nil {
			return false, fmt.Sprintf("the lease cannot be taken: %v", err)
		}
		p.mu.Lock()
		l.session, l.seen.Held = s, false
		p.mu.Unlock()
	}
	p.mu.Lock()
	held := l.seen.Held
	p.mu.Unlock()
	if held {
		return true, ""
	}
	key := p.key(w)
	value, err := json.Marshal(holder{p.node, w.Why, time.Now().UTC().Truncate(time.Second)})
	if err == nil {
		var ok bool
		if ok, err = l.session.Acquire(ctx, key, value); ok {
			p.mu.Lock()
			l.value = value
			p.mu.Unlock()
			return true, ""
		}
	}
	if err != nil {
		return false, fmt.Sprintf("the lease cannot be taken: %v", err)
	}
	return false, p.whoHas(ctx, key)
}

// whoHas says in words who holds a lease.
func (p *Peers) whoHas(ctx context.Context, key string) string {
	var h holder
	pair, found, err := p.store.Get(ctx, key, store.Default)
	if err != nil || !found || json.Unmarshal(pair.Value, &h) != nil || h.Node == p.node {
		return "the cluster's lease is not free yet"
	}
	return fmt.Sprintf("%s has the cluster's lease: %s", h.Node, h.Why)
}
