package history

import "context"

// Pending returns what [Log.Observe] would record of a snapshot, without recording it.
func (l *Log) Pending(ctx context.Context, s Snapshot) ([]Change, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	v, err := l.readState(ctx, nil)
	if err != nil || v.retention.Closed {
		return nil, err
	}
	return l.changes(s, v), nil
}

// Excess returns the commit to which [Log.Compact] would raise the floor, 0 for none, and what keeps more commits than
// were asked for, "" for nothing.
func (l *Log) Excess(ctx context.Context, keep Keep) (to uint64, pin string, err error) {
	head, w, err := l.readBounds(ctx)
	if err != nil || head.Seq == 0 {
		return 0, "", err
	}
	floor, pin, err := l.oldestNeeded(ctx, keep, head, w)
	to, _ = w.newFloor(floor)
	return to, pin, err
}
