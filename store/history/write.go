package history

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	mathrand "math/rand/v2"
	"time"

	"github.com/platypus-platform/platypus/intent"
	"github.com/platypus-platform/platypus/store"
)

// How a commit is tried again: after a conflict soon, after an answer that did not come later, and not for ever.
const (
	firstPause  = 2 * time.Millisecond
	lastPause   = 250 * time.Millisecond
	maxUnknowns = 5
)

// Commit declares what a request asks for and records it, in one transaction. Edits that change nothing are left out;
// when none is left the error is [ErrUnchanged]. When something that was expected is not so it is [ErrChanged], when a
// hold forbids it [ErrHeld], when it does not fit into one transaction [store.ErrTooLarge], and nothing was written.
//
// When the store's answer does not come, it looks for its own commit before it tries again.
func (l *Log) Commit(ctx context.Context, r Request) (Commit, error) {
	if err := l.check(r); err != nil {
		return Commit{}, err
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	a := attempt{log: l, request: r, id: rand.Text()}
	pause := firstPause
	for {
		c, err := a.try(ctx)
		switch {
		case err == nil:
			return c, nil
		case errors.Is(err, store.ErrConflict):
		case errors.Is(err, store.ErrUnreachable):
			if a.unknown++; a.unknown > maxUnknowns {
				return Commit{}, a.lost(err)
			}
			pause = max(pause, lastPause)
		default:
			return Commit{}, err
		}
		select {
		case <-time.After(pause/2 + mathrand.N(pause)):
		case <-ctx.Done():
			return Commit{}, a.lost(ctx.Err())
		}
		pause = min(2*pause, lastPause)
	}
}

// attempt is one commit on its way, however often it is tried.
type attempt struct {
	log     *Log
	request Request
	id      string
	sent    bool // it may have happened
	unknown int  // how often no answer came
}

// lost tells of an attempt that is given up.
func (a *attempt) lost(err error) error {
	if !a.sent {
		return err
	}
	return fmt.Errorf("%w: whether commit %s happened is not known; the log will tell", err, a.id)
}

// try looks at the store as it is and writes once.
func (a *attempt) try(ctx context.Context) (Commit, error) {
	l, r := a.log, a.request
	v, err := a.look(ctx)
	if err != nil {
		return Commit{}, err
	}
	if v.short {
		defer func() { l.tip, l.short = emptyState(), true }()
	}
	for _, c := range v.fresh {
		if a.sent && c.ID == a.id {
			return c, nil
		}
	}
	if v.window.Closed {
		return Commit{}, fmt.Errorf("commit: %w: a fork or an import is still being made here: finish it first", ErrHeld)
	}
	if moved, err := l.moved(ctx, v); moved || err != nil {
		return Commit{}, errors.Join(err, again(moved))
	}
	if v.head.Seq == 0 {
		if err := l.headless(ctx, v); err != nil {
			return Commit{}, err
		}
		if adopted, err := l.adopt(ctx, v); adopted || err != nil {
			return Commit{}, errors.Join(err, again(adopted))
		}
	}
	if err := l.allowed(ctx, r, v); err != nil {
		return Commit{}, err
	}
	p, err := l.draw(ctx, r, v, a.id)
	if err != nil {
		return Commit{}, err
	}
	a.sent = a.sent || !p.partial
	index, err := l.store.Commit(ctx, p.ops)
	if err != nil {
		return Commit{}, err
	}
	c := p.landed(l, index)
	l.afterCommit(ctx, c, len(p.commits), v.window)
	return c, again(p.partial)
}

// look is by a short cut the first time, if the log was not read before: a program that commits once, as a person's does,
// need not know the rest of it.
func (a *attempt) look(ctx context.Context) (look, error) {
	if l := a.log; l.tip.Seq == 0 && !l.short && !a.sent {
		return l.glance(ctx, a.request)
	}
	return a.log.look(ctx, a.request.keys())
}

// again makes the caller start over.
func again(yes bool) error {
	if yes {
		return store.ErrConflict
	}
	return nil
}

// check refuses requests that no state of the store could make right.
func (l *Log) check(r Request) error {
	if len(r.Edits) == 0 && r.Kind != Join {
		return ErrUnchanged
	}
	seen := make(map[string]bool, len(r.Edits))
	for _, e := range r.Edits {
		if err := l.checkKey(e.Key); err != nil {
			return fmt.Errorf("commit: %w", err)
		}
		if seen[e.Key] {
			return fmt.Errorf("commit: key %q is named twice", e.Key)
		}
		if len(e.Value) > intent.MaxValue {
			return fmt.Errorf("commit: the value of %s: %w: %d bytes, at most %d", e.Key, store.ErrTooLarge, len(e.Value), intent.MaxValue)
		}
		seen[e.Key] = true
	}
	for key := range r.Expect {
		if err := l.checkKey(key); err != nil {
			return fmt.Errorf("commit: %w", err)
		}
	}
	return nil
}

// keys are those that a request is about.
func (r Request) keys() (keys []string) {
	for _, e := range r.Edits {
		keys = append(keys, e.Key)
	}
	for key := range r.Expect {
		if !r.edits(key) {
			keys = append(keys, key)
		}
	}
	return append(keys, r.Also...)
}

func (r Request) edits(key string) bool {
	for _, e := range r.Edits {
		if e.Key == key {
			return true
		}
	}
	return false
}
