package history

import (
	"context"
	"fmt"
	"maps"
	"slices"

	"github.com/platypus-platform/platypus/store"
)

// allowed says why a request must not be carried out on what was found, or nil.
func (l *Log) allowed(ctx context.Context, r Request, v look) error {
	for _, key := range slices.Sorted(maps.Keys(r.Expect)) {
		if now, was := v.live[key].ModifyIndex, r.Expect[key]; now != was {
			return fmt.Errorf("commit: %w: %s is at index %d, not at %d", ErrChanged, key, now, was)
		}
	}
	if r.Judge != nil {
		if err := r.Judge(ctx, v.live); err != nil {
			return err
		}
	}
	if r.CheckIndex > 0 {
		for _, prefix := range l.tree.Declared() {
			_, now, err := l.store.List(ctx, prefix, store.Default)
			if err != nil {
				return err
			}
			if now > r.CheckIndex {
				return fmt.Errorf("commit: %w: intent is at index %d, not at %d", ErrChanged, now, r.CheckIndex)
			}
		}
	}
	return l.unheld(ctx, r, v.window)
}
