package history

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/platypus-platform/platypus/intent"
	"github.com/platypus-platform/platypus/store"
)

// Snapshot is all of a tree as it was read at once, and when.
type Snapshot struct {
	Pairs []intent.Pair // all that lies below [intent.Tree.Declared], and maybe more
	Index uint64        // of the read
	After uint64        // index of the read before, 0 for the first: what is found new happened after it
	Since time.Time     // when the read before was answered
	Until time.Time     // when this one was
}

// Observation is what [Log.Observe] did.
type Observation struct {
	Commits []Commit // that it made, maybe none
	Rewound *Head    // the newest commit that was seen before and that the log does not hold any more
}

// Observe compares a tree as it was found with what the log says of it, and records every plain write that the log has
// not been told of, as commits of kind [Observed]. Any number of observers may run beside each other: who comes second
// finds nothing left to do. What is not there before the first commit is adopted.
func (l *Log) Observe(ctx context.Context, s Snapshot) (Observation, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.observe(ctx, s, "recorder")
}

func (l *Log) observe(ctx context.Context, s Snapshot, via string) (o Observation, err error) {
	for pause := firstPause; ; pause = min(2*pause, lastPause) {
		v, err := l.look(ctx, nil)
		if err != nil {
			return o, err
		}
		if v.window.Closed {
			return o, nil // a fork or an import that is being made
		}
		if moved, err := l.moved(ctx, v); moved || err != nil {
			if err != nil {
				return o, err
			}
			continue
		}
		if l.lost != nil {
			o.Rewound, l.lost = l.lost, nil
		}
		if v.head.Seq == 0 {
			if err := l.headless(ctx, v); errors.Is(err, store.ErrConflict) {
				continue
			} else if err != nil {
				return o, err
			}
		}
		news := l.news(s, v)
		if len(news) == 0 {
			if s.Index >= l.tip.since.index {
				l.tip.Faults = nil // whatever an entry that is not believed did: this is how it stands now
			}
			return o, nil
		}
		c, err := l.record(ctx, news, v, via)
		if err == nil {
			o.Commits = append(o.Commits, c)
			l.afterCommit(ctx, c, 1, v.window)
			continue // until nothing is left
		}
		if !errors.Is(err, store.ErrConflict) {
			return o, err
		}
		if err := sleep(ctx, pause); err != nil {
			return o, err
		}
	}
}

// news are the changes that a snapshot shows and the log does not know, by key.
func (l *Log) news(s Snapshot, v look) (news []Change) {
	seen := Interval{After: s.After, At: s.Index, Since: s.Since.UTC().Truncate(time.Millisecond), Until: s.Until.UTC().Truncate(time.Millisecond)}
	if since := l.tip.since; since.seq > v.window.Rebased.Seq && s.Index < since.index {
		return nil // the log knows better; whoever watches will look again
	}
	there := make(map[string]bool, len(s.Pairs))
	for _, pair := range s.Pairs {
		key, ok := l.below(pair.Key)
		if !ok || strings.HasSuffix(key, "/") {
			continue
		}
		there[key] = true
		if x, ok := l.compare(key, pair, v.window.Rebased, seen); ok && !l.newer(key, s.Index, v) {
			news = append(news, x)
		}
	}
	for key := range l.tip.entries {
		if there[key] {
			continue
		}
		if x, ok := l.compare(key, intent.Pair{}, v.window.Rebased, seen); ok && !l.newer(key, s.Index, v) {
			news = append(news, x)
		}
	}
	slices.SortFunc(news, func(a, b Change) int { return strings.Compare(a.Key, b.Key) })
	return news
}

// newer reports whether the log knows something of a key that happened after a snapshot was taken.
func (l *Log) newer(key string, index uint64, v look) bool {
	last, ok := l.tip.gone[key]
	if e, known := l.tip.entries[key]; known {
		last, ok = grave{e.Seq, e.Index}, true
	}
	return ok && last.seq > v.window.Rebased.Seq && last.index > index
}

// maxObserved bounds the values of one observed commit: what they deflate to must fit into a transaction.
const maxObserved = 360 << 10

// record commits as many changes as fit into one commit.
func (l *Log) record(ctx context.Context, news []Change, v look, via string) (Commit, error) {
	c := Commit{ID: rand.Text(), Kind: Observed, Changes: news,
		Note: Note{Author: Author{Proof: Unknown}, Via: via, Message: "found: at least one plain write"}}
	if v.head.Seq == 0 {
		c.Note.Message = "found: what was there before the history began"
	}
	for size, i := 0, 0; i < len(news); i++ {
		if size += len(news[i].stored.data) + len(news[i].Key) + 150; size > maxObserved && i > 0 {
			c.Changes = news[:i]
			break
		}
	}
	p := plan{commits: []Commit{c}}
	if err := l.keep(ctx, &p, v.window); err != nil {
		return Commit{}, err
	}
	if err := l.fit(ctx, &p, v.head); err != nil {
		return Commit{}, err
	}
	index, err := l.store.Commit(ctx, p.ops)
	if err != nil {
		return Commit{}, err
	}
	return p.landed(l, index), nil
}

// adopt records what lies in a tree that has no history yet; it reports whether there was anything.
func (l *Log) adopt(ctx context.Context, v look) (bool, error) {
	s, err := l.Survey(ctx)
	if err != nil || len(s.Pairs) == 0 {
		return false, err
	}
	o, err := l.observe(ctx, s, "adoption")
	return len(o.Commits) > 0, err
}

// Survey reads a tree as [Log.Observe] wants it.
func (l *Log) Survey(ctx context.Context) (s Snapshot, err error) {
	for _, prefix := range l.tree.Declared() {
		pairs, index, err := l.store.List(ctx, prefix, store.Consistent)
		if err != nil {
			return s, fmt.Errorf("survey the tree: %w", err)
		}
		if s.Pairs = append(s.Pairs, pairs...); s.Index == 0 || index < s.Index {
			s.Index = index
		}
	}
	s.Until = l.now()
	return s, nil
}

// sleep waits for about d, or for the end of ctx.
func sleep(ctx context.Context, d time.Duration) error {
	select {
	case <-time.After(d):
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}
