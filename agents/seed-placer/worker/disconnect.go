package worker

import (
	"context"
	"errors"
	"os"
	"sync"
	"time"
)

// disconnectContext is the context of a request that a connection answers by itself. It ends when the client goes away, for which it
// listens once somebody asks: most calls are over before anybody would.
type disconnectContext struct {
	context.Context
	conn    *fastConn
	started sync.Once
	gone    chan struct{} // closed when the client has gone
	stopped chan struct{} // closed when nobody listens any more
}

// Done implements context.Context.
func (v *disconnectContext) Done() <-chan struct{} {
	v.started.Do(func() {
		v.gone, v.stopped = make(chan struct{}), make(chan struct{})
		_ = v.conn.SetReadDeadline(time.Time{})
		go v.watch()
	})
	return v.gone
}

// Err implements context.Context.
func (v *disconnectContext) Err() error {
	select {
	case <-v.Done():
		return context.Canceled
	default:
		return nil
	}
}

// watch waits for what the client sends next, and leaves it where it is.
func (v *disconnectContext) watch() {
	defer close(v.stopped)
	if _, err := v.conn.reader.Peek(1); err != nil && !errors.Is(err, os.ErrDeadlineExceeded) {
		close(v.gone)
	}
}

// stop ends the listening, before the connection is read again.
func (v *disconnectContext) stop() {
	v.started.Do(func() {}) // from now on nobody begins
	if v.gone == nil {
		return
	}
	_ = v.conn.SetReadDeadline(time.Unix(1, 0))
	<-v.stopped
	v.conn.readDeadline = time.Time{}
}
