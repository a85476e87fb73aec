package history

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/platypus-platform/platypus/store"
)

// Keep is the retention of a log: the newest commits and all that are younger than an age, whichever is more. Commits
// that a tag, a hold, a fork or a join depends on stay too, with all later ones, and so does everything that a mirror
// lacks.
type Keep struct {
	Commits int
	Age     time.Duration
}

// DefaultKeep is the default retention.
var DefaultKeep = Keep{Commits: 1000, Age: 90 * 24 * time.Hour}

// Compaction is what [Log.Compact] did.
type Compaction struct {
	Floor   uint64    `json:"floor"` // the first readable commit; 0: all are
	At      time.Time `json:"at,omitzero"`
	Pin     string    `json:"pin,omitempty"` // what keeps more than was asked for
	Deleted int       `json:"deleted"`       // keys of the store
}

// errRetentionChanged makes a compaction start over.
var errRetentionChanged = errors.New("somebody came in between")

// Compact deletes what need not be kept. It can be killed at any moment, and several can run at the same time, without
// loss of anything to be kept. It writes a checkpoint at the new floor, raises the floor, then deletes everything below
// it that nothing above depends on.
func (l *Log) Compact(ctx context.Context, keep Keep) (c Compaction, err error) {
	for {
		c, err = l.raiseFloor(ctx, keep)
		if !errors.Is(err, errRetentionChanged) {
			break
		}
	}
	if err != nil {
		return c, err
	}
	collectors := []func(context.Context) (int, error){l.gcCommits, l.gcCheckpoints, l.gcBlobs}
	for _, s := range collectors {
		n, err := s(ctx)
		if c.Deleted += n; err != nil {
			return c, err
		}
	}
	return c, nil
}

// Floor returns the first readable commit and its time; 0 if all are readable.
func (l *Log) Floor(ctx context.Context) (uint64, time.Time, error) {
	_, w, err := l.readBounds(ctx)
	return w.Floor.Seq, w.Floor.At, err
}

// raiseFloor moves the floor to the oldest commit that is needed.
func (l *Log) raiseFloor(ctx context.Context, keep Keep) (c Compaction, err error) {
	head, w, err := l.readBounds(ctx)
	if err != nil || head.Seq == 0 {
		return c, err
	}
	floor, pin, err := l.oldestNeeded(ctx, keep, head, w)
	if err != nil {
		return c, err
	}
	c = Compaction{Floor: w.Floor.Seq, At: w.Floor.At, Pin: pin}
	to, m := w.newFloor(floor)
	if to == 0 {
		return c, nil
	}
	if m.Seq != to {
		if m, err = l.writeCheckpointAt(ctx, to, head, w); err != nil {
			return c, err
		}
	}
	_, err = l.updateRetention(ctx, func(now *retentionState, head Head) ([]store.Change, error) {
		if now.Pins != w.Pins || now.Holds != w.Holds || now.Floor != w.Floor {
			return nil, errRetentionChanged
		}
		now.addCheckpoint(m)
		now.Floor = m
		now.Checkpoints = slices.DeleteFunc(now.Checkpoints, func(old checkpointRef) bool { return old.Seq < m.Seq })
		return []store.Change{head.touch(l)}, nil
	})
	c.Floor, c.At = m.Seq, m.At
	return c, err
}

// newFloor returns where to put the floor if nothing before seq is needed: at checkpoint m if one is near enough,
// otherwise at seq, which then needs a checkpoint. 0 means that it is not worthwhile.
func (w retentionState) newFloor(seq uint64) (to uint64, m checkpointRef) {
	m, ok := w.checkpointAt(seq)
	switch {
	case ok && m.Seq > w.Floor.Seq && seq-m.Seq < checkpointInterval:
		return m.Seq, m
	case seq < w.Floor.Seq+checkpointInterval:
		return 0, checkpointRef{}
	}
	return seq, checkpointRef{}
}

// writeCheckpointAt stores the state after a commit.
func (l *Log) writeCheckpointAt(ctx context.Context, seq uint64, head Head, w retentionState) (checkpointRef, error) {
	s, err := l.replay(ctx, seq, head, w)
	if err == nil {
		err = l.loadStateValues(ctx, s)
	}
	if err != nil {
		return checkpointRef{}, err
	}
	if f, ok := s.missingValue(); ok {
		return checkpointRef{}, fmt.Errorf("compact: %w", f)
	}
	commits, err := l.loadCommits(ctx, seq, seq, head)
	if err != nil {
		return checkpointRef{}, err
	}
	return l.storeState(ctx, s, commits[0].Index)
}

// oldestNeeded returns the oldest commit that must stay readable, and the pin that requires it, "" if it is the
// requested retention.
func (l *Log) oldestNeeded(ctx context.Context, keep Keep, head Head, w retentionState) (seq uint64, pin string, err error) {
	seq = 1
	if n := uint64(max(keep.Commits, 1)); head.Seq > n {
		seq = head.Seq - n + 1
	}
	lastExpired, err := l.lastMatching(ctx, head, w, func(c Commit) bool { return c.At.Before(l.now().Add(-keep.Age)) })
	if err != nil {
		return 0, "", err
	}
	seq = min(seq, lastExpired+1)
	pins, err := l.pins(ctx)
	for what, at := range pins {
		if at < seq || at == seq && pin > what {
			seq, pin = at, what
		}
	}
	return seq, pin, err
}

// pins returns the pinned commits by the description of their pin.
func (l *Log) pins(ctx context.Context) (map[string]uint64, error) {
	pins := map[string]uint64{}
	tags, err := l.Tags(ctx)
	if err != nil {
		return nil, err
	}
	for _, t := range tags {
		pins["tag "+t.Name] = t.Seq
	}
	holds, err := l.Holds(ctx)
	if err != nil {
		return nil, err
	}
	for _, h := range holds {
		pins["hold "+h.Key] = h.Seq
	}
	bases, err := l.store.Names(ctx, l.prefix.Join("forks"))
	if err != nil {
		return nil, err
	}
	for _, key := range bases {
		name, _ := l.prefix.Join("forks").Below(key)
		t, err := l.pinnedSeq(ctx, key)
		if err != nil {
			return nil, err
		}
		pins["fork "+name] = t
	}
	f, _, err := l.readFork(ctx)
	if err != nil {
		return nil, err
	}
	for _, j := range f.Joins {
		if j.Source.Root == l.tree.Root() {
			pins["join of "+strconv.FormatUint(j.Source.Seq, 10)] = j.Source.Seq
		}
	}
	return pins, l.mirrorPins(ctx, pins)
}

func (l *Log) pinnedSeq(ctx context.Context, key string) (uint64, error) {
	pair, _, err := l.store.Get(ctx, key, store.Default)
	if err != nil {
		return 0, err
	}
	t, err := parseTag(key[strings.LastIndex(key, "/")+1:], pair)
	return t.Seq, err
}
