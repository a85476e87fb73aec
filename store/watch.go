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

// waitTime is a variable for the sake of tests, which would else take as long.
var waitTime = 60 * time.Second

// How a watch asks. A blocking query returns after waitTime even when nothing changed, so everything is read again at
// least that often; a connection that died in silence is noticed waitTime/16 + patience later.
const (
	patience  = 10 * time.Second
	firstWait = 250 * time.Millisecond // after an error, doubling to lastWait; and between two reads once the burst is used
	lastWait  = 15 * time.Second
)

// How often a watch reads while its prefix keeps changing. Each read takes a token; one comes back every firstWait. So a
// change after a quiet time is answered at once, as are the next few, and under change without end there are no more than
// four reads a second, each of which takes in all that came meanwhile. An answer takes a token more for every parcel of
// bytes, as far as there are any: what is dear to read is soon read four times a second and no more.
const (
	burst  = 50
	parcel = 32 << 10 // bytes
)

// Watch delivers everything below prefix, first once it was read and then whenever it changed, or may be read again, until
// ctx ends; the newest snapshot replaces one that was not taken yet. failed hears the outcome of each read, nil when it worked.
func (s *Store) Watch(ctx context.Context, prefix intent.Prefix, failed func(intent.Prefix, error)) <-chan Snapshot {
	return s.WatchAfter(ctx, prefix, 0, failed)
}

// WatchAfter is [Store.Watch] for who knows how things stood at an index, such as that of a write of their own: what it
// delivers first is newer, or was still so after a minute. Nothing is read before there is something to hear.
func (s *Store) WatchAfter(ctx context.Context, prefix intent.Prefix, index uint64, failed func(intent.Prefix, error)) <-chan Snapshot {
	out := make(chan Snapshot, 1)
	go s.watch(ctx, prefix, index, func(pairs []intent.Pair, index uint64) {
		select {
		case <-out: // not taken yet: newest wins
		default:
		}
		out <- Snapshot{Pairs: pairs, Index: index}
	}, failed)
	return out
}

// watch follows one prefix until ctx ends, from an index on, or from the beginning when that is 0. changed gets each state
// that differs from the one before; failed gets the outcome of each read, nil when it worked.
func (s *Store) watch(ctx context.Context, prefix intent.Prefix, index uint64, changed func([]intent.Pair, uint64), failed func(intent.Prefix, error)) {
	limit := rate.NewLimiter(rate.Every(firstWait), burst)
	var told uint64
	var sum [sha256.Size]byte
	backoff := firstWait
	for limit.Wait(ctx) == nil {
		asked := time.Now()
		pairs, next, err := s.block(ctx, prefix, index)
		if ctx.Err() != nil {
			return
		}
		if failed(prefix, err); err != nil {
			index = 0 // the state may have been replaced meanwhile
			if errors.Is(err, ErrDenied) {
				told = 0 // who heard of a refusal wants to hear of its end
			}
			sleep(ctx, backoff/2+rand.N(backoff/2))
			backoff = min(2*backoff, lastWait)
			continue
		}
		backoff = firstWait
		charge(limit, pairs)
		if now := digest(pairs); told == 0 || now != sum {
			sum, told = now, next
			changed(pairs, next)
		}
		if next < index || next == index && time.Since(asked) < waitTime {
			// A restored snapshot or a new store: start over. When a snapshot is restored Consul ends the wait at once, with
			// the answer of before, and would let the next wait sleep until the new state has come as far as the old one.
			next = 0
		}
		index = next
	}
}

// charge takes the tokens of an answer, beyond the one of its read.
func charge(limit *rate.Limiter, pairs []intent.Pair) {
	size := 0
	for _, p := range pairs {
		size += len(p.Key) + len(p.Value)
	}
	now := time.Now()
	limit.AllowN(now, max(0, min(size/parcel, int(limit.TokensAt(now)))))
}

// block asks once; it waits for news only when an index is known, and is cut off soon when it need not wait.
func (s *Store) block(ctx context.Context, prefix intent.Prefix, index uint64) ([]intent.Pair, uint64, error) {
	limit := requestTimeout
	if index > 0 {
		limit = waitTime + waitTime/16 + patience
	}
	ctx, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	return s.list(ctx, prefix, &api.QueryOptions{WaitIndex: index, WaitTime: waitTime})
}

// digest covers everything of the pairs: an index that moved over the same content is no news, and the same index
// over other content is.
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

// sleep waits for d or the end of ctx.
func sleep(ctx context.Context, d time.Duration) {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
	case <-ctx.Done():
	}
}
