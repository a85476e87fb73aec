package history

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"
	"time"

	"github.com/platypus-platform/platypus/store"
)

// Hold blocks writers that use this package from changing a key, or all keys below a prefix, until a time. Plain writes
// ignore it.
type Hold struct {
	Key    string    `json:"key"` // below the tree; a prefix ends in "/"
	Seq    uint64    `json:"seq"` // the newest commit when it was set
	Author Author    `json:"author"`
	Until  time.Time `json:"until"`
	Why    string    `json:"why,omitempty"`
}

func (l *Log) holdKey(key string) string { return string(l.prefix.Join("hold")) + key }

// Hold sets a hold, or replaces the one with the same key. Hold.Seq is filled in.
func (l *Log) Hold(ctx context.Context, h Hold) (Hold, error) {
	if err := l.checkKey(strings.TrimSuffix(h.Key, "/")); err != nil {
		return h, fmt.Errorf("hold: %w", err)
	}
	_, err := l.updateRetention(ctx, func(w *retentionState, head Head) ([]store.Change, error) {
		w.Holds++
		h.Seq = head.Seq
		return []store.Change{{Verb: store.Set, Key: l.holdKey(h.Key), Value: encodeJSON(h)}}, nil
	})
	return h, err
}

// Unhold removes a hold. A missing one is not an error.
func (l *Log) Unhold(ctx context.Context, key string) error {
	return l.store.Delete(ctx, l.holdKey(key))
}

// Holds lists the holds that have not expired, by key.
func (l *Log) Holds(ctx context.Context) (holds []Hold, err error) {
	pairs, _, err := l.store.List(ctx, l.prefix.Join("hold"), store.Default)
	for _, pair := range pairs {
		var h Hold
		if err := json.Unmarshal(pair.Value, &h); err != nil {
			return nil, fmt.Errorf("read %s: %w: %w", pair.Key, ErrForged, err)
		}
		if h.Until.After(l.now()) {
			holds = append(holds, h)
		}
	}
	return holds, err
}

// Covers reports whether a hold blocks changes of a key.
func (h Hold) Covers(key string) bool {
	return key == h.Key || strings.HasSuffix(h.Key, "/") && strings.HasPrefix(key, h.Key)
}

// checkHolds returns an error if a hold blocks a request. It reads nothing if no hold was ever set.
func (l *Log) checkHolds(ctx context.Context, r Request, w retentionState) error {
	if w.Holds == 0 || r.Force {
		return nil
	}
	holds, err := l.Holds(ctx)
	if err != nil {
		return err
	}
	for _, e := range r.Edits {
		for _, h := range holds {
			if h.Covers(e.Key) {
				why := ""
				if h.Why != "" {
					why = ": " + h.Why
				}
				return fmt.Errorf("commit %s: %w: by %s until %s%s", e.Key, ErrHeld, h.Author.Name, h.Until.UTC().Format(time.RFC3339), why)
			}
		}
	}
	return nil
}
