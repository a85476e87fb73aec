package converge

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
)

// errNotInIntent is why a destructive step that newer intent does not ask for is not done. The watch will deliver that
// intent; until then the subject backs off.
var errNotInIntent = errors.New("the store's newest intent does not ask for it")

// unconfirmedError is why a destructive step is not done. It is not a failure: the step waits until it is confirmed.
type unconfirmedError struct{ error }

// Error returns the reason, marked as held.
func (e unconfirmedError) Error() string { return "held: " + e.error.Error() }

// Unwrap returns the reason without the mark.
func (e unconfirmedError) Unwrap() error { return e.error }

func isUnconfirmed(err error) bool {
	var unconfirmed unconfirmedError
	return errors.As(err, &unconfirmed)
}

func destroys[S Step](step S) bool {
	d, ok := any(step).(Destroyer)
	return ok && d.Destroys()
}

// confirmFunc returns an [unconfirmedError] for a destructive step that must not be done now, and nil for any other.
type confirmFunc[S Step] func(context.Context, S) error

// newConfirm returns the check for the steps of one pass, which was planned on actual. The first destructive step reads
// the store; the other steps share the result. No other step waits for that read.
func (l *Loop[D, A, S]) newConfirm(actual A) confirmFunc[S] {
	var once sync.Once
	var replanned []S
	var err error
	return func(ctx context.Context, step S) error {
		if !destroys(step) || l.Guard == nil || l.Guard.Reread == nil {
			return nil
		}
		once.Do(func() {
			var desired D
			if desired, err = l.Guard.Reread(ctx); err == nil {
				desired, _ = l.Guard.check(ctx, desired, actual)
				replanned = l.Plan(desired, actual)
			}
		})
		switch {
		case err != nil:
			return unconfirmedError{fmt.Errorf("the store does not confirm it: %w", err)}
		case !slices.ContainsFunc(replanned, func(s S) bool { return any(s) == any(step) }):
			return unconfirmedError{errNotInIntent}
		}
		return nil
	}
}
