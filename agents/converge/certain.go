package converge

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
)

// errOutdated is the doubt about a step that destroys something and that newer intent does not ask for. The watch will
// bring that intent; until then the subject backs off.
var errOutdated = errors.New("the store's newest intent does not ask for it")

// doubt is why a step that destroys something is not done. Nothing has failed: it waits until it is confirmed.
type doubt struct{ error }

// Error says so.
func (d doubt) Error() string { return "held: " + d.error.Error() }

// Unwrap returns the reason.
func (d doubt) Unwrap() error { return d.error }

// doubtful reports whether err is a doubt.
func doubtful(err error) bool {
	var d doubt
	return errors.As(err, &d)
}

func destroys[S Step](step S) bool {
	d, ok := any(step).(Destroyer)
	return ok && d.Destroys()
}

// certainty objects to a step that destroys something and should not.
type certainty[S Step] func(context.Context, S) error

// certainty returns the objections to the steps of one pass, which was made on actual. However many steps ask, the store
// is read once, by the first that does. Nothing else waits for that read.
func (l *Loop[D, A, S]) certainty(actual A) certainty[S] {
	var once sync.Once
	var again []S
	var err error
	return func(ctx context.Context, step S) error {
		if !destroys(step) || l.Guard == nil || l.Guard.Reread == nil {
			return nil
		}
		once.Do(func() {
			var desired D
			if desired, err = l.Guard.Reread(ctx); err == nil {
				desired, _ = l.Guard.check(ctx, desired, actual)
				again = l.Plan(desired, actual)
			}
		})
		switch {
		case err != nil:
			return doubt{fmt.Errorf("the store does not confirm it: %w", err)}
		case !slices.ContainsFunc(again, func(s S) bool { return any(s) == any(step) }):
			return doubt{errOutdated}
		}
		return nil
	}
}
