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

// Log is the history of one tree. It remembers what it read, so one that is kept open is cheaper than one opened anew.
// It is safe for use by many goroutines.
type Log struct {
	store  *store.Store
	tree   intent.Tree
	prefix intent.Prefix
	now    func() time.Time

	mu     sync.Mutex         // held by whoever writes or brings the tip up to date
	tip    *State             // as of the newest commit seen; never nil, its Seq is 0 at first
	frames map[footing][]byte // values that deltas rest on
	lost   *Head              // the newest commit that was seen and is gone
	short  bool               // a commit was made by a short cut: from the next one on the log is read
}

// The errors that callers tell apart, beside those of the store.
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
	return &Log{store: s, tree: tree, prefix: tree.History(), now: time.Now, tip: emptyState(), frames: map[footing][]byte{}}
}

// Tree is the tree whose history it is.
func (l *Log) Tree() intent.Tree { return l.tree }

// Head is the newest commit.
type Head struct {
	Seq  uint64 `json:"seq"` // 0: nothing was ever recorded
	ID   string `json:"id"`
	Hash Hash   `json:"hash"`

	index   uint64 // of its key; 0: it does not exist
	created uint64
	flags   uint64
	at      time.Time // of the commit; zero when the head does not say
	named   bool      // the shelves of names are complete
}

// headValue is the head as it is kept.
type headValue struct {
	Head
	At    int64 `json:"t,omitempty"` // milliseconds
	Named bool  `json:"n,omitempty"`
}

// Head reads which commit is the newest.
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
	h.index, h.created, h.flags, h.named = pair.ModifyIndex, pair.CreateIndex, pair.Flags, v.Named
	if v.At > 0 {
		h.at = time.UnixMilli(v.At).UTC()
	}
	return h, nil
}

func (h Head) encode() []byte {
	v := headValue{Head: h, Named: h.named}
	if !h.at.IsZero() {
		v.At = h.at.UnixMilli()
	}
	data, err := json.Marshal(v)
	if err != nil {
		panic(err) // numbers and strings
	}
	return data
}

// move is the operation that leaves the head as it is and gives it another index. Whoever is about to delete what the log
// may rest on does it first, in the same transaction: a commit that was drawn up before fails and is drawn up anew.
func (h Head) move(l *Log) store.Change {
	return store.Change{Verb: store.CAS, Key: l.headKey(), Value: h.encode(), Index: h.index, Flags: h.flags + 1}
}
