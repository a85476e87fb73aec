package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/platypus-platform/platypus/intent"
)

// errNoSession is met by what must hang on a session while there is none.
var errNoSession = errors.New("there is no session in the store yet")

// apply does one step.
func (p *placer) apply(ctx context.Context, s Step) error {
	err := p.do(ctx, s)
	p.mu.Lock()
	defer p.mu.Unlock()
	delete(p.faults, s.About)
	if err != nil && !errors.Is(err, context.Canceled) {
		p.faults[s.About] = err.Error()
	}
	return err
}

func (p *placer) do(ctx context.Context, s Step) error {
	tree, node := p.agent.Tree, p.agent.Node
	switch s.Kind {
	case Join:
		return p.join(ctx)
	case Tell:
		return p.tell(s.Digest)
	case Claim:
		return p.say(ctx, s.About, intent.Replica{State: intent.ReplicaClaimed, Digest: s.Digest, Zone: p.zone()})
	case Announce:
		p.drains(s.About, s.State == intent.ReplicaDraining)
		return p.say(ctx, s.About, intent.Replica{State: s.State, Digest: s.Digest, Address: s.Address, Zone: p.zone(), Load: s.Load})
	case Release:
		p.drains(s.About, false)
		err := p.agent.Store.Delete(ctx, tree.Replica(intent.Name(s.About), node))
		if err == nil {
			p.own.claim(s.About, nil)
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
			p.own.hold(s.Digest, true)
		}
		return err
	case Collect:
		if err := p.agent.Store.Delete(ctx, tree.Holder(intent.Name(s.Digest), node)); err != nil {
			return err
		}
		p.own.hold(s.Digest, false)
		return errors.Join(p.blobs.Remove(s.Digest), p.forget(s.Digest))
	}
	return fmt.Errorf("step of unknown kind %q", s.Kind)
}

// say writes the claim of this node to a seed.
func (p *placer) say(ctx context.Context, seed string, r intent.Replica) error {
	err := p.hold(ctx, p.agent.Tree.Replica(intent.Name(seed), p.agent.Node), r)
	if err == nil {
		p.own.claim(seed, &r)
	}
	return err
}

func (p *placer) zone() string {
	p.mu.Lock()
	defer p.mu.Unlock()
	return zoneOf(p.now)
}

// join says that this node takes seeds. What a predecessor of this very node said is taken over: there is only one, for
// it would hold the lock of the state directory.
func (p *placer) join(ctx context.Context) error {
	session, _ := p.lease.get()
	if session == nil {
		return errNoSession
	}
	p.mu.Lock()
	now := p.now
	p.mu.Unlock()
	if err := p.hold(ctx, p.agent.Tree.Host(p.agent.Node), now); err != nil {
		return err
	}
	p.lease.join(session, now)
	return nil
}

// hold writes a key that falls away with the session.
func (p *placer) hold(ctx context.Context, key string, noun any) error {
	session, _ := p.lease.get()
	if session == nil {
		return errNoSession
	}
	value, err := json.Marshal(noun)
	if err != nil {
		return err
	}
	held, err := session.Acquire(ctx, key, value)
	if held || err != nil {
		return err
	}
	if err := p.agent.Store.Delete(ctx, key); err != nil { // held by a session of before
		return err
	}
	if held, err = session.Acquire(ctx, key, value); err == nil && !held {
		return fmt.Errorf("take %s: another session holds it: does a second seed-placer run under the name of this node?", key)
	}
	return err
}

// tell gives the workers the tables that were planned.
func (p *placer) tell(digest string) error {
	p.mu.Lock()
	next := p.next
	p.mu.Unlock()
	if next.digest() != digest {
		return nil // planned anew meanwhile: that plan has a step of its own
	}
	err := p.crew.tell(next, digest)
	if err == nil {
		p.remember(next)
	}
	return err
}

// drains notes since when a replica is draining.
func (p *placer) drains(name string, begins bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if !begins {
		delete(p.draining, name)
		return
	}
	p.draining[name] = time.Now()
	time.AfterFunc(quietAfter, p.nudge)
}
