package main

import (
	"maps"
	"slices"
	"sync"
	"time"

	"github.com/platypus-platform/platypus/intent"
)

// trusted is how long this node's own writes count for more than what a watch has brought: the watch is a little behind,
// and nobody else writes these keys. After that the store's word counts, whoever has changed it.
const trusted = 5 * time.Second

// own remembers what this node wrote of late.
type own struct {
	mu     sync.Mutex
	claims map[string]written[intent.Replica] // by seed
	holds  map[string]written[bool]           // by digest
}

type written[T any] struct {
	value T
	gone  bool
	at    time.Time
}

func newOwn() *own {
	return &own{claims: map[string]written[intent.Replica]{}, holds: map[string]written[bool]{}}
}

// claim notes a claim that was written; one that is nil was deleted.
func (o *own) claim(seed string, r *intent.Replica) {
	o.mu.Lock()
	defer o.mu.Unlock()
	w := written[intent.Replica]{gone: r == nil, at: time.Now()}
	if r != nil {
		w.value = *r
	}
	o.claims[seed] = w
}

func (o *own) hold(digest string, holds bool) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.holds[digest] = written[bool]{gone: !holds, at: time.Now()}
}

// forget drops the claims: the session that they hung on is lost.
func (o *own) forget() {
	o.mu.Lock()
	defer o.mu.Unlock()
	clear(o.claims)
}

// over lays what this node wrote of late over what was read, and what it says of itself.
func (o *own) over(d Desired, node string, sign Sign) Desired {
	o.mu.Lock()
	defer o.mu.Unlock()
	d.Claims, d.Holders = maps.Clone(d.Claims), maps.Clone(d.Holders)
	if sign.Joined {
		d.Hosts = maps.Clone(d.Hosts)
		d.Hosts[node] = sign.Said
	}
	for seed, w := range o.claims {
		if time.Since(w.at) > trusted {
			delete(o.claims, seed)
			continue
		}
		claims := maps.Clone(d.Claims[seed])
		if claims == nil {
			claims = map[string]intent.Replica{}
		}
		if claims[node] = w.value; w.gone {
			delete(claims, node)
		}
		d.Claims[seed] = claims
	}
	for digest, w := range o.holds {
		if time.Since(w.at) > trusted {
			delete(o.holds, digest)
			continue
		}
		holders := slices.DeleteFunc(slices.Clone(d.Holders[digest]), func(n string) bool { return n == node })
		if !w.gone {
			holders = append(holders, node)
			slices.Sort(holders)
		}
		d.Holders[digest] = holders
	}
	return d
}
