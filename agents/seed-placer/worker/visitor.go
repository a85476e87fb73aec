package worker

import (
	"context"
	"errors"
	"os"
	"sync"
	"time"
)

// visitor is the context of a request that a connection answers by itself. It ends when the client goes away, for which it
// listens once somebody asks: most calls are over before anybody would.
type visitor struct {
	context.Context
	q     *quick
	asked sync.Once
	gone  chan struct{} // closed when the client has gone
	heard chan struct{} // closed when nobody listens any more
}

// Done implements context.Context.
func (v *visitor) Done() <-chan struct{} {
	v.asked.Do(func() {
		v.gone, v.heard = make(chan struct{}), make(chan struct{})
		_ = v.q.SetReadDeadline(time.Time{})
		go v.listen()
	})
	return v.gone
}

// Err implements context.Context.
func (v *visitor) Err() error {
	select {
	case <-v.Done():
		return context.Canceled
	default:
		return nil
	}
}

// listen waits for what the client sends next, and leaves it where it is.
func (v *visitor) listen() {
	defer close(v.heard)
	if _, err := v.q.in.Peek(1); err != nil && !errors.Is(err, os.ErrDeadlineExceeded) {
		close(v.gone)
	}
}

// leave ends the listening, before the connection is read again.
func (v *visitor) leave() {
	v.asked.Do(func() {}) // from now on nobody begins
	if v.gone == nil {
		return
	}
	_ = v.q.SetReadDeadline(time.Unix(1, 0))
	<-v.heard
	v.q.until = time.Time{}
}
