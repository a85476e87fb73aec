package history

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/platypus-platform/platypus/intent"
	"github.com/platypus-platform/platypus/store"
)

// txnPlan is a transaction: its operations and the commits it creates.
type txnPlan struct {
	ops     []store.Change
	commits []Commit
	partial bool // only the overwritten plain writes, which had to come first
}

// planTxn plans a request on the state that was read: the changes, one commit for plain writes that they would
// overwrite, one for themselves, and the head. If that is too large for one transaction, the overwritten writes come
// first, in a transaction of their own.
func (l *Log) planTxn(ctx context.Context, r Request, v headState, id string) (txnPlan, error) {
	var overwritten []Change
	for _, e := range r.Edits {
		if unrecorded, ok := l.unrecordedWrite(e.Key, v.live[e.Key], v); ok {
			overwritten = append(overwritten, unrecorded)
		}
	}
	p, err := l.planRequest(ctx, r, v, id, overwritten)
	if errors.Is(err, store.ErrTooLarge) && len(overwritten) > 0 {
		p = txnPlan{commits: []Commit{captureOverwritten(overwritten, r)}, partial: true}
		if err := l.encodeValues(ctx, &p, v.retention); err != nil {
			return p, err
		}
		err = l.shrinkToFit(ctx, &p, v.head)
	}
	return p, err
}

func (l *Log) planRequest(ctx context.Context, r Request, v headState, id string, overwritten []Change) (p txnPlan, err error) {
	c := Commit{ID: id, Kind: r.Kind, Note: r.Note}
	if c.Kind == "" {
		c.Kind = Set
	}
	if len(overwritten) > 0 {
		p.commits = append(p.commits, captureOverwritten(overwritten, r))
	}
	seq := v.head.Seq + uint64(len(p.commits)) + 1
	for _, e := range r.Edits {
		if x, ops, ok := l.planEdit(e, v.live[e.Key], seq); ok {
			c.Changes, p.ops = append(c.Changes, x), append(p.ops, ops...)
		}
	}
	if len(c.Changes) == 0 && c.Kind != Join {
		return p, ErrUnchanged
	}
	for key, index := range r.Expect {
		if !r.edits(key) {
			p.ops = append(p.ops, expectIndex(l.storePath(key), index))
		}
	}
	if r.Joined != nil {
		op, err := l.joinOp(ctx, *r.Joined, seq)
		if err != nil {
			return p, err
		}
		p.ops = append(p.ops, op)
		if !slices.Contains(c.Note.Parents, r.Joined.Source) {
			c.Note.Parents = append(slices.Clone(c.Note.Parents), r.Joined.Source)
		}
	}
	p.commits = append(p.commits, c)
	if n := len(p.ops) + len(p.commits) + 1; n > store.MostOps {
		return p, fmt.Errorf("commit %d changes: %w: they take %d operations, and %d go into one transaction: a delete takes 2, and %d are for the history",
			len(c.Changes), store.ErrTooLarge, n, store.MostOps, len(p.commits)+1)
	}
	if err := l.encodeValues(ctx, &p, v.retention); err != nil {
		return p, err
	}
	return p, l.shrinkToFit(ctx, &p, v.head)
}

// captureOverwritten is the commit of plain writes that a request is about to overwrite.
func captureOverwritten(changes []Change, r Request) Commit {
	return Commit{ID: rand.Text(), Kind: Observed, Changes: changes,
		Note: Note{Author: Author{Proof: Unknown}, Via: r.Note.Via, Message: "a plain write, found when it was about to be replaced"}}
}

// planEdit plans one edit against the live pair; ok is false if it changes nothing.
func (l *Log) planEdit(e Edit, pair intent.Pair, seq uint64) (x Change, ops []store.Change, ok bool) {
	x = Change{Key: e.Key, Op: Put, Base: pair.ModifyIndex}
	path := l.storePath(e.Key)
	exists := pair.ModifyIndex > 0
	if e.Delete {
		x.Op = Delete
		// DeleteCAS of an absent key succeeds at any index, so CheckIndex must come first.
		return x, []store.Change{{Verb: store.CheckIndex, Key: path, Index: pair.ModifyIndex},
			{Verb: store.DeleteCAS, Key: path, Index: pair.ModifyIndex}}, exists
	}
	x.SHA, x.Size, x.Value = HashOf(e.Value), len(e.Value), e.Value
	if exists && HashOf(pair.Value) == x.SHA {
		return x, nil, false
	}
	x.stored = storedValue{data: e.Value, created: pair.CreateIndex}
	return x, []store.Change{{Verb: store.CAS, Key: path, Value: e.Value, Index: pair.ModifyIndex, Flags: seq}}, true
}

// expectIndex makes the transaction fail unless a key is at an index; 0 means absent.
func expectIndex(path string, index uint64) store.Change {
	if index == 0 {
		return store.Change{Verb: store.CheckNotExists, Key: path}
	}
	return store.Change{Verb: store.CheckIndex, Key: path, Index: index}
}

// link numbers the commits of a plan, chains their hashes, appends them and the head to its operations, and checks that
// the transaction is not too large.
func (l *Log) link(p txnPlan, head Head) (txnPlan, error) {
	p.ops, p.commits = slices.Clone(p.ops), slices.Clone(p.commits)
	at := l.tip.At
	indexOps, ok := l.planKeyIndex(p.commits, head)
	if n := len(p.ops) + len(p.commits) + 1; n+len(indexOps) > store.MostOps || !head.indexed && head.Seq > 0 && n+len(indexOps) > store.MaxOps {
		indexOps, ok = nil, false
	}
	for i := range p.commits {
		c := &p.commits[i]
		c.Seq, c.Prev, c.At = head.Seq+1, head.Hash, monotonic(l.timestamp(*c), at)
		if c.Seq > maxSeq {
			return p, fmt.Errorf("commit %d: %w: the numbers end at %d", c.Seq, store.ErrTooLarge, uint64(maxSeq))
		}
		record, err := encode(*c)
		if err != nil {
			return p, err
		}
		c.Hash, at = HashOf(record), c.At
		p.ops = append(p.ops, store.Change{Verb: store.CAS, Key: l.commitKey(c.Seq), Value: record})
		head = Head{Seq: c.Seq, ID: c.ID, Hash: c.Hash, index: head.index, at: c.At}
	}
	withoutIndex := append(slices.Clone(p.ops), store.Change{Verb: store.CAS, Key: l.headKey(), Value: head.encode(), Index: head.index})
	head.indexed = ok
	p.ops = append(append(p.ops, indexOps...), store.Change{Verb: store.CAS, Key: l.headKey(), Value: head.encode(), Index: head.index})
	err := store.Fits(p.ops)
	if ok && err != nil { // the key index is optional: it must not make a transaction too large
		p.ops = withoutIndex
		err = store.Fits(p.ops)
	}
	return p, err
}

// timestamp is the time of a commit: the present, unless it is an imported one.
func (l *Log) timestamp(c Commit) time.Time {
	if c.At.IsZero() {
		return l.now()
	}
	return c.At
}

// monotonic returns now, or last plus a millisecond if the clock has not advanced that far.
func monotonic(now, last time.Time) time.Time {
	now = now.UTC().Truncate(time.Millisecond)
	if earliest := last.Add(time.Millisecond); now.Before(earliest) {
		return earliest
	}
	return now
}

// committed updates the tip after a plan was committed at an index, and returns its last commit.
func (p txnPlan) committed(l *Log, index uint64) Commit {
	for i := range p.commits {
		c := &p.commits[i]
		c.Index = index
		for j := range c.Changes {
			x := &c.Changes[j]
			if x.setDeleteIndex(index); x.Seen == nil {
				x.Index = index
				if x.Op == Put && x.stored.created == 0 {
					x.stored.created = index
				}
			}
			if x.Op == Put && x.stored.encoding != delta && x.Size > maxInline {
				l.cacheKeyframe(keyframeID{c.Seq, x.Key}, x.Value)
			}
		}
		l.tip.apply(*c)
	}
	return p.commits[len(p.commits)-1]
}
