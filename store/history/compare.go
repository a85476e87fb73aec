package history

import (
	"time"

	"github.com/platypus-platform/platypus/intent"
)

// stray says what a plain write did to a key that a writer has just read, if one did.
func (l *Log) stray(key string, pair intent.Pair, v look) (Change, bool) {
	now := l.now().UTC().Truncate(time.Millisecond)
	return l.compare(key, pair, v.window.Rebased, Interval{At: pair.ModifyIndex, Since: l.tip.At, Until: now})
}

// compare says what happened to a key outside of the log since the log was last told of it; pair has ModifyIndex 0 when
// the key is absent. An index that moved over the same bytes is nothing: a lock, an import, a value put back.
func (l *Log) compare(key string, pair intent.Pair, moved rebase, seen Interval) (Change, bool) {
	e, known := l.tip.entries[key]
	if known && e.Seq <= moved.Seq {
		e.Index = min(e.Index, moved.Index)
	}
	seen.After = max(seen.After, e.Index)
	x := Change{Key: key, Op: Put, Base: e.Index, Index: pair.ModifyIndex, Seen: &seen}
	if pair.ModifyIndex == 0 {
		x.Op, x.Index = Delete, seen.At
		return x, known
	}
	x.SHA, x.Size, x.Value = HashOf(pair.Value), len(pair.Value), pair.Value
	x.stored = stored{data: pair.Value, created: pair.CreateIndex}
	x.Recreated = known && e.born(pair.CreateIndex, moved)
	return x, !known || e.SHA != x.SHA || x.Recreated
}

// born reports whether a key that has this CreateIndex is another one than the entry tells of.
func (e entry) born(created uint64, moved rebase) bool {
	if e.Seq <= moved.Seq {
		return created > moved.Index
	}
	return e.Created != 0 && created != e.Created
}
