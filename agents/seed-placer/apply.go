package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/platypus-platform/platypus/intent"
)

// errNoSession is returned for a write that needs a session while there is none.
var errNoSession = errors.New("there is no session in the store yet")

// apply executes one step and records its error for the status.
func (p *placer) apply(ctx context.Context, s Step) error {
	err := p.applyStep(ctx, s)
	p.mu.Lock()
	defer p.mu.Unlock()
	delete(p.faults, s.About)
	if err != nil && !errors.Is(err, context.Canceled) {
		p.faults[s.About] = err.Error()
	}
	return err
}

func (p *placer) applyStep(ctx context.Context, s Step) error {
	tree, node := p.agent.Tree, p.agent.Node
	switch s.Kind {
	case Join:
		return p.announceNode(ctx)
	case Tell:
		return p.configureWorkers(s.Digest)
	case Claim:
		return p.writeClaim(ctx, s.About, intent.Replica{State: intent.ReplicaClaimed, Digest: s.Digest, Zone: p.zone()})
	case Announce:
		p.trackDraining(s.About, s.State == intent.ReplicaDraining)
		return p.writeClaim(ctx, s.About, intent.Replica{State: s.State, Digest: s.Digest, Address: s.Address, Zone: p.zone(), Load: s.Load})
	case Release:
		p.trackDraining(s.About, false)
		err := p.agent.Store.Delete(ctx, tree.Replica(intent.Name(s.About), node))
		if err == nil {
			p.writes.recordClaim(s.About, nil)
		}
		return err
	case Fetch:
		return p.fetch(ctx, s)
	case Hold:
		value, err := json.Marshal(intent.Holder{Size: p.blobs.Size(s.Digest)})
		if err == nil {
			err = p.agent.Store.Put(ctx, tree.Holder(intent.Name(s.Digest), node), value)
		}
		if err == nil {
			p.writes.recordHolder(s.Digest, true)
		}
		return err
	case Collect:
		if err := p.agent.Store.Delete(ctx, tree.Holder(intent.Name(s.Digest), node)); err != nil {
			return err
		}
		p.writes.recordHolder(s.Digest, false)
		return errors.Join(p.blobs.Remove(s.Digest), p.removeCompiled(s.Digest))
	}
	return fmt.Errorf("step of unknown kind %q", s.Kind)
}

// writeClaim writes this node's claim of a seed.
func (p *placer) writeClaim(ctx context.Context, seed string, r intent.Replica) error {
	err := p.acquireKey(ctx, p.agent.Tree.Replica(intent.Name(seed), p.agent.Node), r)
	if err == nil {
		p.writes.recordClaim(seed, &r)
	}
	return err
}

func (p *placer) zone() string {
	p.mu.Lock()
	defer p.mu.Unlock()
	return zoneOf(p.host)
}

// announceNode announces that this node takes seeds. It replaces the announcement of a previous process: the lock of
// the state directory excludes a second agent.
func (p *placer) announceNode(ctx context.Context) error {
	session, _ := p.session.get()
	if session == nil {
		return errNoSession
	}
	p.mu.Lock()
	host := p.host
	p.mu.Unlock()
	if err := p.acquireKey(ctx, p.agent.Tree.Host(p.agent.Node), host); err != nil {
		return err
	}
	p.session.setAnnounced(session, host)
	return nil
}

// acquireKey writes a key that the store deletes with the session.
func (p *placer) acquireKey(ctx context.Context, key string, content any) error {
	session, _ := p.session.get()
	if session == nil {
		return errNoSession
	}
	value, err := json.Marshal(content)
	if err != nil {
		return err
	}
	held, err := session.Acquire(ctx, key, value)
	if held || err != nil {
		return err
	}
	if err := p.agent.Store.Delete(ctx, key); err != nil { // a previous session holds it
		return err
	}
	if held, err = session.Acquire(ctx, key, value); err == nil && !held {
		return fmt.Errorf("take %s: another session holds it: does a second seed-placer run under the name of this node?", key)
	}
	return err
}

// configureWorkers sends the planned configuration to the workers.
func (p *placer) configureWorkers(digest string) error {
	p.mu.Lock()
	configs := p.nextConfigs
	p.mu.Unlock()
	if configs.digest() != digest {
		return nil // a newer plan has replaced it, with a step of its own
	}
	err := p.workers.configure(configs, digest)
	if err == nil {
		p.saveConfig(configs)
	}
	return err
}

// trackDraining records since when a replica has been draining.
func (p *placer) trackDraining(name string, draining bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if !draining {
		delete(p.draining, name)
		return
	}
	p.draining[name] = time.Now()
	time.AfterFunc(drainDelay, p.wake)
}
