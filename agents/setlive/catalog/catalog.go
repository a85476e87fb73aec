// Package catalog keeps the apps that run on a node listed in the store's service catalog, with their health, so that
// others find them and wait for them. It works in the background and tries again for ever: nothing waits for it.
//
// It owns the entries whose meta says that setlive on this node made them, and no others.
package catalog

import (
	"context"
	"fmt"
	"maps"
	"reflect"
	"sync"
	"time"

	"github.com/platypus-platform/platypus/agents/setlive/service"
	"github.com/platypus-platform/platypus/intent"
	"github.com/platypus-platform/platypus/store"
)

// Times of entries.
const (
	every = 10 * time.Second // entries are looked at, and health without a probe of the store's own is told
	ttl   = 3 * every        // health that was told counts that long
	renew = 3 * time.Minute  // entries are registered again, whatever is listed
)

// ownerKey is the meta key that says whose an entry is.
const ownerKey = "platypus"

// Entry is an app as it shall be listed.
type Entry struct {
	App, Cluster, Version string
	Port                  int
	Check                 store.Check // none: health is told
	Known                 bool        // Healthy and Reason may be told; until then what was told before holds
	Healthy               bool
	Reason                string
}

// Standing is how an entry stands.
type Standing struct {
	Pending bool   // it was not tried yet
	Problem string // why it is not listed as it should be
}

// Catalog keeps entries.
type Catalog struct {
	store *store.Store
	node  intent.Name
	kick  chan struct{}
	wake  chan struct{}

	mu       sync.Mutex
	wanted   map[string]Entry
	keep     map[string]bool
	standing map[string]Standing

	registered map[string]registration // by app; Run alone touches it
}

// registration is when an entry was registered, and as whom. Consul keeps the token of a registration with the service and
// writes to the catalog with it for ever: where that token is gone, the catalog no longer learns whether the app is healthy.
type registration struct {
	credentials string
	at          time.Time
}

// due reports whether an entry is to be registered again: at the first look of this process, with another token, and now and
// then, for there may be other reasons why the catalog does not hold what the agent does.
func (r registration) due(credentials string, now time.Time) bool {
	return r.credentials != credentials || now.Sub(r.at) >= renew
}

// New returns a catalog; Run does the work.
func New(s *store.Store, node intent.Name) *Catalog {
	return &Catalog{store: s, node: node, kick: make(chan struct{}, 1), wake: make(chan struct{}, 1), standing: map[string]Standing{},
		registered: map[string]registration{}}
}

// Wake carries a value when the standing of an entry changed.
func (c *Catalog) Wake() <-chan struct{} { return c.wake }

// Want makes the entries exactly these; those of apps in keep are left as they are.
func (c *Catalog) Want(entries map[string]Entry, keep map[string]bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.wanted != nil && reflect.DeepEqual(c.wanted, entries) && maps.Equal(c.keep, keep) {
		return
	}
	for app, e := range entries {
		if old, listed := c.wanted[app]; !listed || old.meta(c.node)["check"] != e.meta(c.node)["check"] || old.Version != e.Version {
			c.standing[app] = Standing{Pending: true}
		}
	}
	c.wanted, c.keep = entries, keep
	signal(c.kick)
}

func signal(ch chan struct{}) {
	select {
	case ch <- struct{}{}:
	default:
	}
}

// Standing returns how entries stand, by app.
func (c *Catalog) Standing() map[string]Standing {
	c.mu.Lock()
	defer c.mu.Unlock()
	return maps.Clone(c.standing)
}

// Drop takes an app's entry back now, before it is stopped. An error is no reason to wait: Run tries again.
func (c *Catalog) Drop(ctx context.Context, app string) error {
	ctx, cancel := context.WithTimeout(ctx, 2*time.Second)
	defer cancel()
	c.mu.Lock()
	if c.wanted != nil {
		c.wanted = maps.Clone(c.wanted)
		delete(c.wanted, app)
	}
	delete(c.standing, app)
	c.mu.Unlock()
	return c.store.Deregister(ctx, c.id(app))
}

// Run keeps the entries until ctx ends; then they stay as they are.
func (c *Catalog) Run(ctx context.Context) {
	tick := time.NewTicker(every)
	defer tick.Stop()
	for {
		select {
		case <-c.kick:
		case <-tick.C:
		case <-ctx.Done():
			return
		}
		c.mu.Lock()
		wanted, keep := c.wanted, c.keep
		c.mu.Unlock()
		if wanted == nil {
			continue // nobody has said yet what is wanted
		}
		c.stand(wanted, c.sync(ctx, wanted, keep))
	}
}

// stand notes how the entries stand after a try.
func (c *Catalog) stand(wanted map[string]Entry, problems map[string]string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	standing := make(map[string]Standing, len(wanted))
	for app, e := range wanted {
		standing[app] = Standing{Problem: problems[app]}
		if now, listed := c.wanted[app]; listed && now.Version != e.Version {
			standing[app] = Standing{Pending: true} // wanted otherwise meanwhile
		}
	}
	if !maps.Equal(c.standing, standing) {
		c.standing = standing
		signal(c.wake)
	}
}

// sync makes the store's entries equal to wanted and returns what did not work, by app.
func (c *Catalog) sync(ctx context.Context, wanted map[string]Entry, keep map[string]bool) map[string]string {
	problems := map[string]string{}
	listed, err := c.store.Registered(ctx, ownerKey, c.owner())
	if err != nil {
		for app := range wanted {
			problems[app] = "not in the catalog: " + err.Error()
		}
		return problems
	}
	for app, e := range wanted {
		if err := c.entry(ctx, e, listed[c.id(app)]); err != nil {
			problems[app] = "not in the catalog: " + err.Error()
		}
		delete(listed, c.id(app))
	}
	for id, s := range listed {
		if keep[s.Name] {
			continue
		}
		_ = c.store.Deregister(ctx, id) // it is still listed at the next try if this failed
	}
	return problems
}

// entry makes one entry be as it shall be.
func (c *Catalog) entry(ctx context.Context, e Entry, have store.Service) error {
	check := e.check()
	me := registration{c.store.Credentials(), time.Now()}
	if !maps.Equal(have.Meta, e.meta(c.node)) || have.Port != e.Port || c.registered[e.App].due(me.credentials, me.at) {
		s := store.Service{ID: c.id(e.App), Name: e.App, Port: e.Port, Meta: e.meta(c.node), Check: check}
		if err := c.store.Register(ctx, s); err != nil {
			return err
		}
		c.registered[e.App] = me
	}
	if check.TTL == 0 || !e.Known {
		return nil
	}
	return c.store.Heard(ctx, c.id(e.App), e.Healthy, e.Reason)
}

func (e Entry) check() store.Check {
	if e.Check.HTTP == "" && e.Check.TCP == "" {
		return store.Check{TTL: ttl}
	}
	return e.Check
}

// meta is what an entry tells; a difference in it makes the entry be written anew.
func (e Entry) meta(node intent.Name) map[string]string {
	return map[string]string{
		"node": string(node), "version": e.Version, "cluster": e.Cluster,
		"check": service.Digest(e.check()), ownerKey: fmt.Sprintf("setlive@%s", node),
	}
}

func (c *Catalog) owner() string { return fmt.Sprintf("setlive@%s", c.node) }

func (c *Catalog) id(app string) string { return fmt.Sprintf("platypus-%s-%s", app, c.node) }
