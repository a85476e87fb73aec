package main

import (
	"maps"
	"slices"
	"sync"
	"time"

	"github.com/platypus-platform/platypus/intent"
)

// overlayTTL is how long this node's own writes override the watch, which lags a little (read-your-writes). Nobody
// else writes these keys. After that the store's value counts, whoever changed it.
const overlayTTL = 5 * time.Second

// recentWrites holds this node's writes of the last overlayTTL.
type recentWrites struct {
	mu     sync.Mutex
	claims map[string]recentWrite[intent.Replica] // by seed
	holds  map[string]recentWrite[bool]           // by digest
}

type recentWrite[T any] struct {
	value   T
	deleted bool
	at      time.Time
}

func newRecentWrites() *recentWrites {
	return &recentWrites{claims: map[string]recentWrite[intent.Replica]{}, holds: map[string]recentWrite[bool]{}}
}

// recordClaim records a claim that was written, or deleted if r is nil.
func (o *recentWrites) recordClaim(seed string, r *intent.Replica) {
	o.mu.Lock()
	defer o.mu.Unlock()
	w := recentWrite[intent.Replica]{deleted: r == nil, at: time.Now()}
	if r != nil {
		w.value = *r
	}
	o.claims[seed] = w
}

func (o *recentWrites) recordHolder(digest string, holds bool) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.holds[digest] = recentWrite[bool]{deleted: !holds, at: time.Now()}
}

// dropClaims forgets the claims after the loss of the session that held them.
func (o *recentWrites) dropClaims() {
	o.mu.Lock()
	defer o.mu.Unlock()
	clear(o.claims)
}

// overlay returns d with this node's recent writes and its announced key applied.
func (o *recentWrites) overlay(d Desired, a Actual) Desired {
	o.mu.Lock()
	defer o.mu.Unlock()
	d.Claims, d.Holders = maps.Clone(d.Claims), maps.Clone(d.Holders)
	if a.Joined {
		d.Hosts = maps.Clone(d.Hosts)
		d.Hosts[a.Node] = a.Announced
	}
	for seed, w := range o.claims {
		if time.Since(w.at) > overlayTTL {
			delete(o.claims, seed)
			continue
		}
		claims := maps.Clone(d.Claims[seed])
		if claims == nil {
			claims = map[string]intent.Replica{}
		}
		if claims[a.Node] = w.value; w.deleted {
			delete(claims, a.Node)
		}
		d.Claims[seed] = claims
	}
	for digest, w := range o.holds {
		if time.Since(w.at) > overlayTTL {
			delete(o.holds, digest)
			continue
		}
		holders := slices.DeleteFunc(slices.Clone(d.Holders[digest]), func(n string) bool { return n == a.Node })
		if !w.deleted {
			holders = append(holders, a.Node)
			slices.Sort(holders)
		}
		d.Holders[digest] = holders
	}
	return d
}
