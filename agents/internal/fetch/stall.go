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

// pace measures how fast content comes, across the requests of one transfer.
type pace struct {
	since time.Time
	bytes int64
}

// watch ends the context of one request when the server is silent or too slow.
type watch struct {
	*pace
	req    Request
	timer  *time.Timer
	cancel context.CancelCauseFunc
}

func (p *pace) watch(ctx context.Context, req Request) (context.Context, *watch) {
	ctx, cancel := context.WithCancelCause(ctx)
	if p.since.IsZero() {
		p.since = time.Now()
	}
	return ctx, &watch{pace: p, req: req, cancel: cancel, timer: time.AfterFunc(req.Stall, func() { cancel(errStalled) })}
}

// got notes n bytes; a window that brought too few ends the request.
func (w *watch) got(n int) {
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

func (w *watch) stop() {
	w.timer.Stop()
	w.cancel(nil)
}
