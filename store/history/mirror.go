package history

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/platypus-platform/platypus/intent"
	"github.com/platypus-platform/platypus/store"
)

// Mirror records how much of a log another place, such as a git repository, has. [Log.Compact] deletes nothing that a
// mirror lacks.
type Mirror struct {
	Name  string    `json:"-"`
	Seq   uint64    `json:"seq"`  // the newest commit it has
	Hash  Hash      `json:"hash"` // of that commit
	At    time.Time `json:"at"`   // when it received that commit
	Where string    `json:"where,omitempty"`
}

// SetMirror adds a mirror, or updates what it has. Mirror.At is set to the present.
func (l *Log) SetMirror(ctx context.Context, m Mirror) (Mirror, error) {
	name, err := intent.ParseName(m.Name)
	if err != nil {
		return m, fmt.Errorf("mirror: %w", err)
	}
	if m.Seq == 0 {
		return m, fmt.Errorf("mirror %s: %w: it has no commit yet", m.Name, ErrNoSuch)
	}
	m.At = l.now().UTC().Truncate(time.Millisecond)
	_, err = l.updateRetention(ctx, func(w *retentionState, _ Head) ([]store.Change, error) {
		w.Pins++
		return []store.Change{{Verb: store.Set, Key: l.prefix.Join("mirror").Key(name), Value: encodeJSON(m)}}, nil
	})
	return m, err
}

// RemoveMirror removes a mirror, so that compaction no longer waits for it.
func (l *Log) RemoveMirror(ctx context.Context, name string) error {
	n, err := intent.ParseName(name)
	if err != nil {
		return fmt.Errorf("mirror: %w", err)
	}
	key := l.prefix.Join("mirror").Key(n)
	_, found, err := l.store.Get(ctx, key, store.Default)
	if err == nil && !found {
		err = fmt.Errorf("mirror %s: %w", name, ErrNoSuch)
	}
	if err != nil {
		return err
	}
	return l.store.Delete(ctx, key)
}

// Mirrors lists the mirrors by name.
func (l *Log) Mirrors(ctx context.Context) (mirrors []Mirror, err error) {
	prefix := l.prefix.Join("mirror")
	pairs, _, err := l.store.List(ctx, prefix, store.Default)
	for _, pair := range pairs {
		name, _ := prefix.Below(pair.Key)
		m := Mirror{Name: name}
		if err := json.Unmarshal(pair.Value, &m); err != nil {
			return nil, fmt.Errorf("read %s: %w: %w", pair.Key, ErrForged, err)
		}
		mirrors = append(mirrors, m)
	}
	return mirrors, err
}

// mirrorPins adds the newest commit of each mirror. A mirror of a different history, as after the store was restored
// from a snapshot, pins everything.
func (l *Log) mirrorPins(ctx context.Context, pins map[string]uint64) error {
	mirrors, err := l.Mirrors(ctx)
	if err != nil {
		return err
	}
	for _, m := range mirrors {
		err := l.Confirm(ctx, Head{Seq: m.Seq, Hash: m.Hash})
		switch {
		case errors.Is(err, ErrRewound):
			pins["mirror "+m.Name+", which has another history"] = 1
		case err != nil:
			return err
		default:
			pins[fmt.Sprintf("mirror %s, which has commit %d since %s", m.Name, m.Seq, m.At.Format(time.DateOnly))] = m.Seq
		}
	}
	return nil
}
