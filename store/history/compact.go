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

// Keep says how much of a log stays readable: the newest commits, and all that are younger than an age, whichever is
// more. What a tag, a hold, a fork or a join rests on stays, too, and so does all that came after it, and all that a
// mirror does not have.
type Keep struct {
	Commits int
	Age     time.Duration
}

// DefaultKeep is how much is kept when nobody says otherwise.
var DefaultKeep = Keep{Commits: 1000, Age: 90 * 24 * time.Hour}

// Compaction is what [Log.Compact] did.
type Compaction struct {
	Floor   uint64    `json:"floor"` // the first commit that can be read; 0: all can
	At      time.Time `json:"at,omitzero"`
	Pin     string    `json:"pin,omitempty"` // what kept more than was asked for
	Deleted int       `json:"deleted"`       // keys of the store
}

// errMoved makes a compaction begin anew.
var errMoved = errors.New("somebody came in between")

// Compact deletes what need not be kept. It may be killed at any moment, and any number of it may run beside each other:
// what is to stay readable does. First the state at the new floor is kept whole, then the floor is moved, then everything
// below it is deleted that nothing above it rests on.
func (l *Log) Compact(ctx context.Context, keep Keep) (c Compaction, err error) {
	for {
		c, err = l.lift(ctx, keep)
		if !errors.Is(err, errMoved) {
			break
		}
	}
	if err != nil {
		return c, err
	}
	sweep := []func(context.Context) (int, error){l.sweepCommits, l.sweepCheckpoints, l.sweepBlobs}
	for _, s := range sweep {
		n, err := s(ctx)
		if c.Deleted += n; err != nil {
			return c, err
		}
	}
	return c, nil
}

// Floor is the first commit that can still be read, and when it was made; 0 when all can.
func (l *Log) Floor(ctx context.Context) (uint64, time.Time, error) {
	_, w, err := l.bounds(ctx)
	return w.Floor.Seq, w.Floor.At, err
}

// lift moves the floor.
func (l *Log) lift(ctx context.Context, keep Keep) (c Compaction, err error) {
	head, w, err := l.bounds(ctx)
	if err != nil || head.Seq == 0 {
		return c, err
	}
	floor, pin, err := l.needed(ctx, keep, head, w)
	if err != nil {
		return c, err
	}
	c = Compaction{Floor: w.Floor.Seq, At: w.Floor.At, Pin: pin}
	to, m := w.lifted(floor)
	if to == 0 {
		return c, nil
	}
	if m.Seq != to {
		if m, err = l.plant(ctx, to, head, w); err != nil {
			return c, err
		}
	}
	_, err = l.turn(ctx, func(now *window, head Head) ([]store.Change, error) {
		if now.Pins != w.Pins || now.Holds != w.Holds || now.Floor != w.Floor {
			return nil, errMoved
		}
		now.add(m)
		now.Floor = m
		now.Checkpoints = slices.DeleteFunc(now.Checkpoints, func(old mark) bool { return old.Seq < m.Seq })
		return []store.Change{head.move(l)}, nil
	})
	c.Floor, c.At = m.Seq, m.At
	return c, err
}

// lifted is where the floor goes when nothing before seq is needed: to the checkpoint m when one is near enough, otherwise
// to where one has to be made. 0 means that it is not worth it.
func (w window) lifted(seq uint64) (to uint64, m mark) {
	m, ok := w.before(seq)
	switch {
	case ok && m.Seq > w.Floor.Seq && seq-m.Seq < every:
		return m.Seq, m
	case seq < w.Floor.Seq+every:
		return 0, mark{}
	}
	return seq, mark{}
}

// plant keeps the state after a commit whole.
func (l *Log) plant(ctx context.Context, seq uint64, head Head, w window) (mark, error) {
	s, err := l.replay(ctx, seq, head, w)
	if err == nil {
		err = l.fill(ctx, s)
	}
	if err != nil {
		return mark{}, err
	}
	if f, ok := s.blind(); ok {
		return mark{}, fmt.Errorf("compact: %w", f)
	}
	commits, err := l.load(ctx, seq, seq, head)
	if err != nil {
		return mark{}, err
	}
	return l.putState(ctx, s, commits[0].Index)
}

// needed is the oldest commit that must stay readable, and what makes it so unless it is what was asked for.
func (l *Log) needed(ctx context.Context, keep Keep, head Head, w window) (seq uint64, pin string, err error) {
	seq = 1
	if n := uint64(max(keep.Commits, 1)); head.Seq > n {
		seq = head.Seq - n + 1
	}
	young, err := l.last(ctx, head, w, func(c Commit) bool { return c.At.Before(l.now().Add(-keep.Age)) })
	if err != nil {
		return 0, "", err
	}
	seq = min(seq, young+1)
	pins, err := l.pins(ctx)
	for what, at := range pins {
		if at < seq || at == seq && pin > what {
			seq, pin = at, what
		}
	}
	return seq, pin, err
}

// pins are the commits that something rests on, by what it is.
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
		t, err := l.pinned(ctx, key)
		if err != nil {
			return nil, err
		}
		pins["fork "+name] = t
	}
	f, _, err := l.forked(ctx)
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

func (l *Log) pinned(ctx context.Context, key string) (uint64, error) {
	pair, _, err := l.store.Get(ctx, key, store.Default)
	if err != nil {
		return 0, err
	}
	t, err := parseTag(key[strings.LastIndex(key, "/")+1:], pair)
	return t.Seq, err
}
