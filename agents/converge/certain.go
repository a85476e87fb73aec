package converge

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
)

// errOutdated is the fault of a step that destroys something and that newer intent does not ask for. The watch will
// bring that intent; until then the subject backs off.
var errOutdated = errors.New("held: the store's newest intent does not ask for it")

// certainty objects to a step that destroys something and should not.
type certainty[S Step] func(context.Context, S) error

// certainty returns the objections to the steps of one pass, which was made on actual. However many steps ask, the store
// is read once, by the first that does.
func (e *engine[D, A, S]) certainty(actual A) certainty[S] {
	var once sync.Once
	var again []S
	var err error
	return func(ctx context.Context, step S) error {
		d, ok := any(step).(Destroyer)
		if !ok || !d.Destroys() || e.Guard == nil || e.Guard.Reread == nil {
			return nil
		}
		once.Do(func() {
			var desired D
			if desired, err = e.Guard.Reread(ctx); err == nil {
				desired, _ = e.Guard.check(ctx, desired, actual)
				again = e.Plan(desired, actual)
			}
		})
		switch {
		case err != nil:
			return fmt.Errorf("held: the store does not confirm it: %w", err)
		case !slices.ContainsFunc(again, func(s S) bool { return any(s) == any(step) }):
			return errOutdated
		}
		return nil
	}
}
