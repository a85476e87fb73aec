package history

import (
	"time"

	"github.com/platypus-platform/platypus/intent"
)

// unrecordedWrite returns the plain write to a key that a writer has just read, if there was one.
func (l *Log) unrecordedWrite(key string, pair intent.Pair, v headState) (Change, bool) {
	now := l.now().UTC().Truncate(time.Millisecond)
	return l.compareLive(key, pair, v.retention.IndexReset, Interval{At: pair.ModifyIndex, Since: l.tip.At, Until: now})
}

// compareLive returns what happened to a key outside of the log since its last entry; pair has ModifyIndex 0 if the key
// is absent. A new index with the same bytes is not a change: a lock, an import, a value restored.
func (l *Log) compareLive(key string, pair intent.Pair, reset indexReset, seen Interval) (Change, bool) {
	e, known := l.tip.entries[key]
	if known && e.Seq <= reset.Seq {
		e.Index = min(e.Index, reset.Index)
	}
	seen.After = max(seen.After, e.Index)
	x := Change{Key: key, Op: Put, Base: e.Index, Index: pair.ModifyIndex, Seen: &seen}
	if pair.ModifyIndex == 0 {
		x.Op, x.Index = Delete, seen.At
		return x, known
	}
	x.SHA, x.Size, x.Value = HashOf(pair.Value), len(pair.Value), pair.Value
	x.stored = storedValue{data: pair.Value, created: pair.CreateIndex}
	x.Recreated = known && e.wasRecreated(pair.CreateIndex, reset)
	return x, !known || e.SHA != x.SHA || x.Recreated
}

// wasRecreated reports whether a key with this CreateIndex was deleted and created again since the entry.
func (e entry) wasRecreated(created uint64, reset indexReset) bool {
	if e.Seq <= reset.Seq {
		return created > reset.Index
	}
	return e.Created != 0 && created != e.Created
}
