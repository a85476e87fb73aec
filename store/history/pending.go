package history

import "context"

// Pending is what [Log.Observe] would record of a snapshot; it records nothing.
func (l *Log) Pending(ctx context.Context, s Snapshot) ([]Change, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	v, err := l.look(ctx, nil)
	if err != nil || v.window.Closed {
		return nil, err
	}
	return l.news(s, v), nil
}

// Excess is the commit to which [Log.Compact] would raise the floor, 0 when there is nothing to do, and what keeps more
// than was asked for, "" when nothing does.
func (l *Log) Excess(ctx context.Context, keep Keep) (to uint64, pin string, err error) {
	head, w, err := l.bounds(ctx)
	if err != nil || head.Seq == 0 {
		return 0, "", err
	}
	floor, pin, err := l.needed(ctx, keep, head, w)
	to, _ = w.lifted(floor)
	return to, pin, err
}
