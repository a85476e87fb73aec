package history

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

// Log is the history of one tree. It caches what it reads, so keep it open if possible. It is safe for concurrent use.
type Log struct {
	store  *store.Store
	tree   intent.Tree
	prefix intent.Prefix
	now    func() time.Time

	mu           sync.Mutex            // held while writing or updating the tip
	tip          *State                // state at the newest commit seen; never nil, its Seq is 0 at first
	keyframes    map[keyframeID][]byte // cache of keyframes
	lostHead     *Head                 // the newest commit that was seen and is no longer in the log
	usedFastRead bool                  // one commit used the fast read; the next one reads the log
}

// Errors that callers can match, besides those of package store.
var (
	ErrUnchanged = errors.New("unchanged: every value is what was asked for already")
	ErrChanged   = errors.New("something was declared in between, and nothing was written")
	ErrNoSuch    = errors.New("the history knows no such thing")
	ErrCompacted = errors.New("compacted")
	ErrForged    = errors.New("the history cannot be believed")
	ErrNoHead    = errors.New("the head of the history is gone")
	ErrRewound   = errors.New("the history was rewound")
	ErrHeld      = errors.New("held")
)

// Open returns the history of a tree. It does not connect.
func Open(s *store.Store, tree intent.Tree) *Log {
	return &Log{store: s, tree: tree, prefix: tree.History(), now: time.Now, tip: emptyState(), keyframes: map[keyframeID][]byte{}}
}

// Tree returns the tree of this history.
func (l *Log) Tree() intent.Tree { return l.tree }

// Head is the newest commit.
type Head struct {
	Seq  uint64 `json:"seq"` // 0: no commit yet
	ID   string `json:"id"`
	Hash Hash   `json:"hash"`

	index   uint64 // ModifyIndex of its key; 0: it does not exist
	created uint64
	flags   uint64
	at      time.Time // time of the commit; zero if the head lacks it
	indexed bool      // the key index is complete
}

// headValue is the stored form of the head.
type headValue struct {
	Head
	At      int64 `json:"t,omitempty"` // milliseconds
	Indexed bool  `json:"n,omitempty"`
}

// Head reads the newest commit.
func (l *Log) Head(ctx context.Context) (Head, error) {
	pair, _, err := l.store.Get(ctx, l.headKey(), store.Default)
	if err != nil {
		return Head{}, err
	}
	return parseHead(pair)
}

func parseHead(pair intent.Pair) (Head, error) {
	if pair.ModifyIndex == 0 {
		return Head{}, nil
	}
	var v headValue
	if err := json.Unmarshal(pair.Value, &v); err != nil || v.Seq == 0 || v.Seq > maxSeq {
		return Head{}, fmt.Errorf("read %s: %w: it is no head: %.60q", pair.Key, ErrForged, pair.Value)
	}
	h := v.Head
	h.index, h.created, h.flags, h.indexed = pair.ModifyIndex, pair.CreateIndex, pair.Flags, v.Indexed
	if v.At > 0 {
		h.at = time.UnixMilli(v.At).UTC()
	}
	return h, nil
}

func (h Head) encode() []byte {
	v := headValue{Head: h, Indexed: h.indexed}
	if !h.at.IsZero() {
		v.At = h.at.UnixMilli()
	}
	data, err := json.Marshal(v)
	if err != nil {
		panic(err) // numbers and strings
	}
	return data
}

// touch is the operation that rewrites the head unchanged, which gives it a new index. Whoever deletes something that
// the log may depend on adds it to the transaction, so that commits planned before fail and are planned again.
func (h Head) touch(l *Log) store.Change {
	return store.Change{Verb: store.CAS, Key: l.headKey(), Value: h.encode(), Index: h.index, Flags: h.flags + 1}
}
