package fetch

import (
	"context"
	"errors"
	"time"
)

var (
	errStalled = errors.New("no byte came for too long")
	errSlow    = errors.New("bytes come too slowly")
)

// rate measures how fast content comes, across the requests of one transfer.
type rate struct {
	since time.Time
	bytes int64
}

// stallTimer ends the context of one request when the server is silent or too slow.
type stallTimer struct {
	*rate
	req    Request
	timer  *time.Timer
	cancel context.CancelCauseFunc
}

func (p *rate) watch(ctx context.Context, req Request) (context.Context, *stallTimer) {
	ctx, cancel := context.WithCancelCause(ctx)
	if p.since.IsZero() {
		p.since = time.Now()
	}
	return ctx, &stallTimer{rate: p, req: req, cancel: cancel, timer: time.AfterFunc(req.Stall, func() { cancel(errStalled) })}
}

// add notes n bytes; a window that brought too few ends the request.
func (w *stallTimer) add(n int) {
	w.timer.Reset(w.req.Stall)
	w.bytes += int64(n)
	over := time.Since(w.since)
	if over < w.req.RateOver {
		return
	}
	if float64(w.bytes)/over.Seconds() < float64(w.req.MinRate) {
		w.cancel(errSlow)
	}
	w.since, w.bytes = time.Now(), 0
}

func (w *stallTimer) stop() {
	w.timer.Stop()
	w.cancel(nil)
}
