package history

import (
	"context"
	"fmt"
	"maps"
	"slices"

	"github.com/platypus-platform/platypus/store"
)

// checkPreconditions returns why a request must not be carried out on the state that was read, or nil.
func (l *Log) checkPreconditions(ctx context.Context, r Request, v headState) error {
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
	return l.checkHolds(ctx, r, v.retention)
}
