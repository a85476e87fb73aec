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

// Backoff of a commit: short after a conflict, long after an unknown outcome, which is retried a limited number of
// times.
const (
	minBackoff         = 2 * time.Millisecond
	maxBackoff         = 250 * time.Millisecond
	maxUnknownOutcomes = 5
)

// Commit applies a request and records it, in one transaction. Edits that change nothing are dropped; if none is left
// the error is [ErrUnchanged]. If an expectation is not met it is [ErrChanged], if a hold forbids it [ErrHeld], if it
// is too large for one transaction [store.ErrTooLarge]; then nothing was written.
//
// If the outcome of a write is unknown, it looks for its own commit before it tries again.
func (l *Log) Commit(ctx context.Context, r Request) (Commit, error) {
	if err := l.validate(r); err != nil {
		return Commit{}, err
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	a := attempt{log: l, request: r, id: rand.Text()}
	backoff := minBackoff
	for {
		c, err := a.try(ctx)
		switch {
		case err == nil:
			return c, nil
		case errors.Is(err, store.ErrConflict):
		case errors.Is(err, store.ErrUnreachable):
			if a.unknownOutcomes++; a.unknownOutcomes > maxUnknownOutcomes {
				return Commit{}, a.giveUp(err)
			}
			backoff = max(backoff, maxBackoff)
		default:
			return Commit{}, err
		}
		select {
		case <-time.After(backoff/2 + mathrand.N(backoff)):
		case <-ctx.Done():
			return Commit{}, a.giveUp(ctx.Err())
		}
		backoff = min(2*backoff, maxBackoff)
	}
}

// attempt is one commit across its retries.
type attempt struct {
	log             *Log
	request         Request
	id              string
	sent            bool // it may have been committed
	unknownOutcomes int  // writes so far whose outcome is unknown
}

// giveUp returns the error of a commit that is not retried, which may have happened if it was sent.
func (a *attempt) giveUp(err error) error {
	if !a.sent {
		return err
	}
	return fmt.Errorf("%w: whether commit %s happened is not known; the log will tell", err, a.id)
}

// try reads the current state and writes once.
func (a *attempt) try(ctx context.Context) (Commit, error) {
	l, r := a.log, a.request
	v, err := a.readState(ctx)
	if err != nil {
		return Commit{}, err
	}
	if v.partial {
		defer func() { l.tip, l.usedFastRead = emptyState(), true }()
	}
	for _, c := range v.newCommits {
		if a.sent && c.ID == a.id {
			return c, nil
		}
	}
	if v.retention.Closed {
		return Commit{}, fmt.Errorf("commit: %w: a fork or an import is still being made here: finish it first", ErrHeld)
	}
	if reset, err := l.detectReset(ctx, v); reset || err != nil {
		return Commit{}, errors.Join(err, retryIf(reset))
	}
	if v.head.Seq == 0 {
		if err := l.checkHeadless(ctx, v); err != nil {
			return Commit{}, err
		}
		if imported, err := l.importExisting(ctx, v); imported || err != nil {
			return Commit{}, errors.Join(err, retryIf(imported))
		}
	}
	if err := l.checkPreconditions(ctx, r, v); err != nil {
		return Commit{}, err
	}
	p, err := l.planTxn(ctx, r, v, a.id)
	if err != nil {
		return Commit{}, err
	}
	a.sent = a.sent || !p.partial
	index, err := l.store.Commit(ctx, p.ops)
	if err != nil {
		return Commit{}, err
	}
	c := p.committed(l, index)
	l.maybeCheckpoint(ctx, c, len(p.commits), v.retention)
	return c, retryIf(p.partial)
}

// readState uses the fast read for the first commit of a log that was not read before: a program that commits once need
// not read the whole log.
func (a *attempt) readState(ctx context.Context) (headState, error) {
	if l := a.log; l.tip.Seq == 0 && !l.usedFastRead && !a.sent {
		return l.readFast(ctx, a.request)
	}
	return a.log.readState(ctx, a.request.keys())
}

// retryIf returns an error that makes the caller start over.
func retryIf(retry bool) error {
	if retry {
		return store.ErrConflict
	}
	return nil
}

// validate rejects requests that are invalid in any state of the store.
func (l *Log) validate(r Request) error {
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

// keys are the keys that a request reads or writes.
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
