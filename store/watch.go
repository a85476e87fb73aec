package store

import (
	"context"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"hash"
	"math/rand/v2"
	"time"

	"github.com/hashicorp/consul/api"
	"golang.org/x/time/rate"

	"github.com/platypus-platform/platypus/intent"
)

// waitTime is a variable so that tests can shorten it.
var waitTime = 60 * time.Second

// Timing of a watch. A blocking query returns after waitTime even without a change, so everything is read at least that
// often. A dead connection is noticed after waitTime·17/16 + readSlack.
const (
	readSlack  = 10 * time.Second
	minBackoff = 250 * time.Millisecond // first delay after an error, doubling up to maxBackoff; also the interval between reads once the burst is used up
	maxBackoff = 15 * time.Second
)

// Rate limit of a watch whose prefix keeps changing. Each read takes a token; one is added every minBackoff. So the
// first changes after a quiet period are delivered at once, and constant change causes at most four reads a second. A
// response takes one more token per tokenBytes, as far as available, so that large prefixes reach that limit sooner.
const (
	readBurst  = 50
	tokenBytes = 32 << 10 // bytes
)

// Watch delivers everything below prefix once it was read and after each change, and again when it is readable after a
// denial, until ctx ends. The newest snapshot replaces one that was not received yet. failed receives the result of
// each read, nil for success.
func (s *Store) Watch(ctx context.Context, prefix intent.Prefix, failed func(intent.Prefix, error)) <-chan Snapshot {
	return s.WatchAfter(ctx, prefix, 0, failed)
}

// WatchAfter is [Store.Watch] for a caller that knows the state at an index, such as that of its own write: the first
// snapshot is newer, or was still current after a minute. It does not read before that.
func (s *Store) WatchAfter(ctx context.Context, prefix intent.Prefix, index uint64, failed func(intent.Prefix, error)) <-chan Snapshot {
	out := make(chan Snapshot, 1)
	go s.watch(ctx, prefix, index, func(pairs []intent.Pair, index uint64) {
		select {
		case <-out: // not received yet: the newest wins
		default:
		}
		out <- Snapshot{Pairs: pairs, Index: index}
	}, failed)
	return out
}

// watch follows one prefix until ctx ends, from an index on, or from the start if that is 0. changed receives each
// state that differs from the previous one; failed receives the result of each read, nil for success.
func (s *Store) watch(ctx context.Context, prefix intent.Prefix, index uint64, changed func([]intent.Pair, uint64), failed func(intent.Prefix, error)) {
	limit := rate.NewLimiter(rate.Every(minBackoff), readBurst)
	var delivered uint64
	var sum [sha256.Size]byte
	backoff := minBackoff
	for limit.Wait(ctx) == nil {
		started := time.Now()
		pairs, next, err := s.readBlocking(ctx, prefix, index)
		if ctx.Err() != nil {
			return
		}
		if failed(prefix, err); err != nil {
			index = 0 // the state may have been replaced in the meantime
			if errors.Is(err, ErrDenied) {
				delivered = 0 // after a denial the state is delivered again
			}
			sleep(ctx, backoff/2+rand.N(backoff/2))
			backoff = min(2*backoff, maxBackoff)
			continue
		}
		backoff = minBackoff
		chargeBytes(limit, pairs)
		if now := digest(pairs); delivered == 0 || now != sum {
			sum, delivered = now, next
			changed(pairs, next)
		}
		if next < index || next == index && time.Since(started) < waitTime {
			// A restored snapshot or a new store: start over. When a snapshot is restored, Consul ends the query at
			// once with the previous result, and would block the next one until the new state reaches the old index.
			next = 0
		}
		index = next
	}
}

// chargeBytes takes the tokens for the size of a response.
func chargeBytes(limit *rate.Limiter, pairs []intent.Pair) {
	size := 0
	for _, p := range pairs {
		size += len(p.Key) + len(p.Value)
	}
	now := time.Now()
	limit.AllowN(now, max(0, min(size/tokenBytes, int(limit.TokensAt(now)))))
}

// readBlocking sends one query. It blocks only if an index is known; its deadline is short otherwise.
func (s *Store) readBlocking(ctx context.Context, prefix intent.Prefix, index uint64) ([]intent.Pair, uint64, error) {
	limit := requestTimeout
	if index > 0 {
		limit = waitTime + waitTime/16 + readSlack
	}
	ctx, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	return s.list(ctx, prefix, &api.QueryOptions{WaitIndex: index, WaitTime: waitTime})
}

// digest covers the keys, values and CreateIndexes: a new ModifyIndex for the same content is not a change, and other
// content at the same index is.
func digest(pairs []intent.Pair) (sum [sha256.Size]byte) {
	h := sha256.New()
	for _, p := range pairs {
		field(h, []byte(p.Key))
		field(h, p.Value)
		field(h, binary.BigEndian.AppendUint64(nil, p.CreateIndex))
	}
	h.Sum(sum[:0])
	return sum
}

func field(h hash.Hash, data []byte) {
	h.Write(binary.BigEndian.AppendUint64(nil, uint64(len(data))))
	h.Write(data)
}

// sleep waits for d or until ctx ends.
func sleep(ctx context.Context, d time.Duration) {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
	case <-ctx.Done():
	}
}
