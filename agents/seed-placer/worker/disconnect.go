package worker

import (
	"context"
	"errors"
	"os"
	"sync"
	"time"
)

// disconnectContext is the context of a request on a fastConn. It ends when the client disconnects. It watches the
// connection only once somebody calls Done, because most calls end earlier.
type disconnectContext struct {
	context.Context
	conn    *fastConn
	started sync.Once
	gone    chan struct{} // closed when the client has disconnected
	stopped chan struct{} // closed when the watch has ended
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

// watch blocks until the client sends data or disconnects, and leaves the data in the reader.
func (v *disconnectContext) watch() {
	defer close(v.stopped)
	if _, err := v.conn.reader.Peek(1); err != nil && !errors.Is(err, os.ErrDeadlineExceeded) {
		close(v.gone)
	}
}

// stop ends the watch, so that the connection can be read again.
func (v *disconnectContext) stop() {
	v.started.Do(func() {}) // prevents a later start
	if v.gone == nil {
		return
	}
	_ = v.conn.SetReadDeadline(time.Unix(1, 0))
	<-v.stopped
	v.conn.readDeadline = time.Time{}
}
