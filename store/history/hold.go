package history

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"
	"time"

	"github.com/platypus-platform/platypus/store"
)

// Hold keeps what goes through this package from changing a key, or all keys below a prefix, until a time. Plain writes
// pass it.
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
	_, err := l.turn(ctx, func(w *window, head Head) ([]store.Change, error) {
		w.Holds++
		h.Seq = head.Seq
		return []store.Change{{Verb: store.Set, Key: l.holdKey(h.Key), Value: encodeJSON(h)}}, nil
	})
	return h, err
}

// Unhold takes a hold back; one that is not there is no error.
func (l *Log) Unhold(ctx context.Context, key string) error {
	return l.store.Delete(ctx, l.holdKey(key))
}

// Holds lists the holds that have not ended, by key.
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

// Covers reports whether a hold forbids to change a key.
func (h Hold) Covers(key string) bool {
	return key == h.Key || strings.HasSuffix(h.Key, "/") && strings.HasPrefix(key, h.Key)
}

// unheld says which hold forbids a request, or nil. Nothing is read unless a hold was ever set.
func (l *Log) unheld(ctx context.Context, r Request, w window) error {
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
