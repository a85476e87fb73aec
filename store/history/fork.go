package history

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/platypus-platform/platypus/intent"
	"github.com/platypus-platform/platypus/store"
)

// Stage is the state of a fork.
type Stage string

// The stages.
const (
	Creating Stage = "creating" // incomplete: cannot be read or written; Fork continues it
	Ready    Stage = "ready"
	Removing Stage = "removing"
)

// Forked is the record of a fork, stored in the fork's own history.
type Forked struct {
	Name   intent.Name `json:"name"`
	From   Ref         `json:"from"`
	ID     string      `json:"id"`
	Author Author      `json:"author"`
	Note   string      `json:"note,omitempty"`
	At     time.Time   `json:"at"`
	State  Stage       `json:"state"`
	Joins  []Joining   `json:"joins,omitempty"` // in either direction, oldest first
}

// Joining records that a commit of one tree contains another tree up to a commit.
type Joining struct {
	Source Ref `json:"src"`
	Target Ref `json:"dst"`
}

// Fork creates a new tree from this one at commit seq (0: the newest), at [intent.Tree.Fork]: its intent, which agents
// can be pointed at by their root, and a history that starts with one commit of kind [Fork]. The source commit stays
// readable while the fork exists. If the name is taken the error is [ErrExists]; an unfinished fork of the same commit
// is continued.
func (l *Log) Fork(ctx context.Context, name intent.Name, seq uint64, note Note) (Forked, error) {
	target := Open(l.store, l.tree.Fork(name))
	f, index, err := target.readFork(ctx)
	if err != nil {
		return f, err
	}
	if index == 0 {
		if f, err = l.beginFork(ctx, target, name, seq, note); err != nil {
			return f, err
		}
	} else if f.State != Creating || seq != 0 && f.From.Seq != seq {
		return f, fmt.Errorf("fork %s: %w: %s since %s, from commit %d", name, ErrExists, f.State, f.At.Format(time.RFC3339), f.From.Seq)
	}
	state, err := l.At(ctx, f.From.Seq)
	if err != nil {
		return f, fmt.Errorf("fork %s: %w", name, err)
	}
	if len(state.Faults) > 0 {
		return f, fmt.Errorf("fork %s: %w", name, state.Faults[0])
	}
	if err := target.writeRoot(ctx, f, state); err != nil {
		return f, fmt.Errorf("fork %s: %w", name, err)
	}
	if err := target.copyState(ctx, state); err != nil {
		return f, fmt.Errorf("fork %s: %w", name, err)
	}
	return target.finishFork(ctx)
}

// readFork reads the record of this tree as a fork; index is 0 if it is not a fork.
func (l *Log) readFork(ctx context.Context) (f Forked, index uint64, err error) {
	pair, found, err := l.store.Get(ctx, l.forkKey(), store.Default)
	if err != nil || !found {
		return f, 0, err
	}
	if err := json.Unmarshal(pair.Value, &f); err != nil {
		return f, 0, fmt.Errorf("read %s: %w: %w", pair.Key, ErrForged, err)
	}
	return f, pair.ModifyIndex, nil
}

func (l *Log) pinKey(name intent.Name) string { return l.prefix.Join("forks").Key(name) }

// beginFork pins the commit and reserves the name, in one transaction.
func (l *Log) beginFork(ctx context.Context, target *Log, name intent.Name, seq uint64, note Note) (f Forked, err error) {
	empty, err := l.store.Blank(ctx, target.tree.Own())
	if err == nil && !empty {
		err = fmt.Errorf("fork %s: %w: something lies below %s", name, ErrExists, target.tree.Own())
	}
	if err != nil {
		return f, err
	}
	_, err = l.updateRetention(ctx, func(w *retentionState, head Head) ([]store.Change, error) {
		if _, found, err := l.store.Get(ctx, l.pinKey(name), store.Default); err != nil || found {
			return nil, errors.Join(err, errIfTaken(found, "fork "+string(name)))
		}
		from := seq
		if from == 0 {
			from = head.Seq
		}
		if from == 0 {
			return nil, fmt.Errorf("fork %s: %w: there is no commit yet", name, ErrNoSuch)
		}
		if err := w.checkReadable(from, head); err != nil {
			return nil, fmt.Errorf("fork %s: %w", name, err)
		}
		w.Pins++
		f = Forked{Name: name, From: Ref{l.tree.Root(), from}, ID: rand.Text(), Author: note.Author, Note: note.Message,
			At: l.now().UTC().Truncate(time.Millisecond), State: Creating}
		return []store.Change{
			{Verb: store.CAS, Key: l.pinKey(name), Value: encodeJSON(Tag{Seq: from, Author: f.Author, At: f.At})},
			{Verb: store.CAS, Key: target.forkKey(), Value: encodeJSON(f)},
			{Verb: store.CAS, Key: target.retentionKey(), Value: retentionState{Closed: true}.encode()},
		}, nil
	})
	return f, err
}

// writeRoot writes the first commit of a fork and the checkpoint with its content, unless they exist.
func (l *Log) writeRoot(ctx context.Context, f Forked, source *State) error {
	head, current, err := l.readBounds(ctx)
	if err != nil || head.Seq > 0 {
		return err
	}
	c := Commit{Seq: 1, ID: f.ID, At: f.At, Kind: Fork, Note: Note{Author: f.Author, Message: f.Note, Parents: []Ref{f.From}}}
	record, err := encode(c)
	if err != nil {
		return err
	}
	state := emptyState()
	state.Seq, state.At, state.Hash, state.id = 1, f.At, HashOf(record), f.ID
	for key, e := range source.entries {
		state.entries[key] = entry{Value: Value{Key: key, Data: e.Data, Seq: 1}, keyframe: 1}
	}
	m, err := l.storeState(ctx, state, 0)
	if err != nil {
		return err
	}
	w := retentionState{Floor: m, Checkpoints: []checkpointRef{m}, Closed: true}
	_, err = l.store.Commit(ctx, []store.Change{
		{Verb: store.CAS, Key: l.commitKey(1), Value: record},
		{Verb: store.CAS, Key: l.headKey(), Value: Head{Seq: 1, ID: c.ID, Hash: state.Hash}.encode()},
		{Verb: store.CAS, Key: l.retentionKey(), Value: w.encode(), Index: current.index},
	})
	if errors.Is(err, store.ErrConflict) {
		return nil // another process continues the same fork and was first
	}
	return err
}

// copyState writes the keys of a state that the tree lacks.
func (l *Log) copyState(ctx context.Context, state *State) error {
	present, _, err := l.store.List(ctx, l.tree.Intent(), store.Consistent)
	if err != nil {
		return err
	}
	done := make(map[string]bool, len(present))
	for _, pair := range present {
		done[pair.Key] = true
	}
	var ops []store.Change
	flush := func() error {
		if len(ops) == 0 {
			return nil
		}
		_, err := l.store.Commit(ctx, ops)
		ops = ops[:0]
		return err
	}
	for v := range state.All("") {
		op := store.Change{Verb: store.CAS, Key: l.storePath(v.Key), Value: v.Data, Flags: 1}
		if done[op.Key] {
			continue
		}
		if len(ops) == store.MaxOps || store.Size(append(ops, op)) > store.MaxBody {
			if err := flush(); err != nil {
				return err
			}
		}
		ops = append(ops, op)
	}
	return flush()
}

// finishFork marks a fork as ready once it is complete.
func (l *Log) finishFork(ctx context.Context) (f Forked, err error) {
	s, err := l.Survey(ctx)
	if err != nil {
		return f, err
	}
	_, err = l.updateRetention(ctx, func(w *retentionState, head Head) ([]store.Change, error) {
		var index uint64
		if f, index, err = l.readFork(ctx); err != nil || f.State == Ready {
			return nil, err
		}
		f.State, w.Closed, w.IndexReset = Ready, false, indexReset{1, s.Index}
		return []store.Change{{Verb: store.CAS, Key: l.forkKey(), Value: encodeJSON(f), Index: index}}, nil
	})
	return f, err
}
