package history

import (
	"crypto/rand"
	"fmt"
	"time"

	"github.com/platypus-platform/platypus/intent"
	"github.com/platypus-platform/platypus/store"
)

// plan is a transaction ready to be sent, and the commits that it makes.
type plan struct {
	ops     []store.Change
	commits []Commit
}

// draw plans a request on what was found: the changes, one commit for the plain writes that they would bury, one for
// themselves, and the head.
func (l *Log) draw(r Request, v look, id string) (plan, error) {
	var p plan
	c := Commit{ID: id, Kind: r.Kind, Note: r.Note}
	if c.Kind == "" {
		c.Kind = Set
	}
	var buried []Change
	seq := v.head.Seq + 1
	for _, e := range r.Edits {
		pair := v.live[e.Key]
		if stray, ok := l.stray(e.Key, pair, v); ok {
			buried = append(buried, stray)
		}
	}
	if len(buried) > 0 {
		seq++
	}
	for _, e := range r.Edits {
		x, ops, ok := l.edit(e, v.live[e.Key], seq)
		if ok {
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
	if len(buried) > 0 {
		p.commits = append(p.commits, Commit{ID: rand.Text(), Kind: Observed, Changes: buried,
			Note: Note{Author: Author{Proof: Unknown}, Via: r.Note.Via, Message: "a plain write, found when it was about to be replaced"}})
	}
	p.commits = append(p.commits, c)
	return p, l.chain(&p, v.head)
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

// chain numbers and seals the commits of a plan and adds them and the head to its operations.
func (l *Log) chain(p *plan, head Head) error {
	prev, seq, at := head.Hash, head.Seq, l.tip.At
	for i := range p.commits {
		c := &p.commits[i]
		seq++
		if seq > maxSeq {
			return fmt.Errorf("commit %d: %w", seq, store.ErrTooLarge)
		}
		c.Seq, c.Prev, c.At = seq, prev, later(l.now(), at)
		record, err := encode(*c)
		if err != nil {
			return err
		}
		c.Hash = HashOf(record)
		prev, at = c.Hash, c.At
		p.ops = append(p.ops, store.Change{Verb: store.CAS, Key: l.commitKey(seq), Value: record})
		head = Head{Seq: seq, ID: c.ID, Hash: c.Hash, index: head.index}
	}
	p.ops = append(p.ops, store.Change{Verb: store.CAS, Key: l.headKey(), Value: head.encode(), Index: head.index})
	return store.Fits(p.ops)
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
			if x.Seen == nil {
				x.Index = index
				if x.Op == Put && x.stored.created == 0 {
					x.stored.created = index
				}
			}
		}
		l.tip.apply(*c)
	}
	return p.commits[len(p.commits)-1]
}
