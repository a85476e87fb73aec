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

// plan is a transaction: its operations and the commits that it makes.
type plan struct {
	ops     []store.Change
	commits []Commit
	partial bool // only what had to come first
}

// draw plans a request on what was found: the changes, one commit for the plain writes that they would bury, one for
// themselves, and the head. When that is too much for one transaction, the buried ones come first, alone.
func (l *Log) draw(ctx context.Context, r Request, v look, id string) (plan, error) {
	var buried []Change
	for _, e := range r.Edits {
		if stray, ok := l.stray(e.Key, v.live[e.Key], v); ok {
			buried = append(buried, stray)
		}
	}
	p, err := l.drawAll(ctx, r, v, id, buried)
	if errors.Is(err, store.ErrTooLarge) && len(buried) > 0 {
		p = plan{commits: []Commit{bury(buried, r)}, partial: true}
		if err := l.keep(ctx, &p, v.window); err != nil {
			return p, err
		}
		err = l.fit(ctx, &p, v.head)
	}
	return p, err
}

func (l *Log) drawAll(ctx context.Context, r Request, v look, id string, buried []Change) (p plan, err error) {
	c := Commit{ID: id, Kind: r.Kind, Note: r.Note}
	if c.Kind == "" {
		c.Kind = Set
	}
	if len(buried) > 0 {
		p.commits = append(p.commits, bury(buried, r))
	}
	seq := v.head.Seq + uint64(len(p.commits)) + 1
	for _, e := range r.Edits {
		if x, ops, ok := l.edit(e, v.live[e.Key], seq); ok {
			c.Changes, p.ops = append(c.Changes, x), append(p.ops, ops...)
		}
	}
	if len(c.Changes) == 0 && c.Kind != Join {
		return p, ErrUnchanged
	}
	for key, index := range r.Expect {
		if !r.edits(key) {
			p.ops = append(p.ops, expect(l.path(key), index))
		}
	}
	if r.Joined != nil {
		op, err := l.joining(ctx, *r.Joined, seq)
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
	if err := l.keep(ctx, &p, v.window); err != nil {
		return p, err
	}
	return p, l.fit(ctx, &p, v.head)
}

// bury is the commit of plain writes that a request is about to replace.
func bury(changes []Change, r Request) Commit {
	return Commit{ID: rand.Text(), Kind: Observed, Changes: changes,
		Note: Note{Author: Author{Proof: Unknown}, Via: r.Note.Via, Message: "a plain write, found when it was about to be replaced"}}
}

// edit plans one edit on what stands there; ok is false when that changes nothing.
func (l *Log) edit(e Edit, pair intent.Pair, seq uint64) (x Change, ops []store.Change, ok bool) {
	x = Change{Key: e.Key, Op: Put, Base: pair.ModifyIndex}
	path := l.path(e.Key)
	there := pair.ModifyIndex > 0
	if e.Delete {
		x.Op = Delete
		// The first makes sure that it is there: a delete of what is absent succeeds whatever the index.
		return x, []store.Change{{Verb: store.CheckIndex, Key: path, Index: pair.ModifyIndex},
			{Verb: store.DeleteCAS, Key: path, Index: pair.ModifyIndex}}, there
	}
	x.SHA, x.Size, x.Value = HashOf(e.Value), len(e.Value), e.Value
	if there && HashOf(pair.Value) == x.SHA {
		return x, nil, false
	}
	x.stored = stored{data: e.Value, created: pair.CreateIndex}
	return x, []store.Change{{Verb: store.CAS, Key: path, Value: e.Value, Index: pair.ModifyIndex, Flags: seq}}, true
}

// expect is the operation that makes a transaction fail when a key is not at an index.
func expect(path string, index uint64) store.Change {
	if index == 0 {
		return store.Change{Verb: store.CheckNotExists, Key: path}
	}
	return store.Change{Verb: store.CheckIndex, Key: path, Index: index}
}

// chain numbers and seals the commits of a plan, adds them and the head to its operations, and sees whether all of it
// fits into one transaction.
func (l *Log) chain(p plan, head Head) (plan, error) {
	p.ops, p.commits = slices.Clone(p.ops), slices.Clone(p.commits)
	at := l.tip.At
	shelving, ok := l.shelve(p.commits, head)
	if n := len(p.ops) + len(p.commits) + 1; n+len(shelving) > store.MostOps || !head.named && head.Seq > 0 && n+len(shelving) > store.MaxOps {
		shelving, ok = nil, false
	}
	for i := range p.commits {
		c := &p.commits[i]
		c.Seq, c.Prev, c.At = head.Seq+1, head.Hash, later(l.moment(*c), at)
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
	bare := append(slices.Clone(p.ops), store.Change{Verb: store.CAS, Key: l.headKey(), Value: head.encode(), Index: head.index})
	head.named = ok
	p.ops = append(append(p.ops, shelving...), store.Change{Verb: store.CAS, Key: l.headKey(), Value: head.encode(), Index: head.index})
	err := store.Fits(p.ops)
	if ok && err != nil { // whether all goes into one transaction is no matter of names
		p.ops = bare
		err = store.Fits(p.ops)
	}
	return p, err
}

// moment is when a commit was made: now, unless it comes from elsewhere.
func (l *Log) moment(c Commit) time.Time {
	if c.At.IsZero() {
		return l.now()
	}
	return c.At
}

// later is now, or a millisecond after the last when the clock has not moved on.
func later(now, last time.Time) time.Time {
	now = now.UTC().Truncate(time.Millisecond)
	if soonest := last.Add(time.Millisecond); now.Before(soonest) {
		return soonest
	}
	return now
}

// landed tells the tip of a plan that was carried out at an index, and returns its last commit.
func (p plan) landed(l *Log, index uint64) Commit {
	for i := range p.commits {
		c := &p.commits[i]
		c.Index = index
		for j := range c.Changes {
			x := &c.Changes[j]
			if x.settle(index); x.Seen == nil {
				x.Index = index
				if x.Op == Put && x.stored.created == 0 {
					x.stored.created = index
				}
			}
			if x.Op == Put && x.stored.how != delta && x.Size > maxWhole {
				l.remember(footing{c.Seq, x.Key}, x.Value)
			}
		}
		l.tip.apply(*c)
	}
	return p.commits[len(p.commits)-1]
}
