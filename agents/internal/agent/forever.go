package agent

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/signal"
	"sync"
	"syscall"
	"time"

	"github.com/coreos/go-systemd/v22/daemon"

	"github.com/platypus-platform/platypus/agents/converge"
	"github.com/platypus-platform/platypus/intent"
	"github.com/platypus-platform/platypus/store"
)

// lastWord bounds each of the two writes of an agent that was told to stop: with [converge.Grace], less than 5 s in all,
// for the sign of life is taken back while the last step ends.
const lastWord = 700 * time.Millisecond

// forever runs the agent until ctx ends.
func forever[D, A any, S converge.Step](ctx context.Context, listen string, a *Agent, source Source[D], loop *converge.Loop[D, A, S]) error {
	a.Log.Info("", fmt.Sprintf("watching %s at %s", source.Name, a.Store.Address()))
	up := newUpstream(a.Log)
	r := newReporting(a)
	reportOf(r, source, loop)
	m := newMeters(a, up)
	if err := m.serve(ctx, listen); err != nil {
		return err
	}
	wake := make(chan struct{}, 1)
	pulse := &pulse{start: time.Now(), stuck: max(stuck, 3*loop.Resync)}
	loop.Wake = merged(ctx, loop.Wake, wake)
	loop.Observe = timed(m, loop.Observe)
	loop.Report = func(p converge.Pass) {
		pulse.beat()
		m.pass(p)
		r.later(p)
	}
	var side sync.WaitGroup
	side.Go(func() { r.run(ctx) })
	side.Go(func() { r.tell(ctx) })
	side.Go(func() { a.stayAlive(ctx, r.presence) })
	side.Go(func() { a.reloadOnHUP(ctx, wake) })
	side.Go(func() { pulse.run(ctx, up) })
	loop.Run(ctx, source.Watch(ctx, a.readsTokens(up.heard)))
	_, _ = daemon.SdNotify(false, daemon.SdNotifyStopping)
	a.Log.Info("", "stopped")
	side.Wait()
	last, cancel := context.WithTimeout(context.WithoutCancel(ctx), lastWord)
	defer cancel()
	_ = r.last(last)
	return nil
}

// merged returns a channel that carries what either carries.
func merged(ctx context.Context, a <-chan struct{}, b chan struct{}) <-chan struct{} {
	if a == nil {
		return b
	}
	go func() {
		for {
			select {
			case <-a:
				select {
				case b <- struct{}{}:
				default:
				}
			case <-ctx.Done():
				return
			}
		}
	}()
	return b
}

// reloadOnHUP reads tokens and certificates again and asks for a pass.
func (a *Agent) reloadOnHUP(ctx context.Context, wake chan<- struct{}) {
	hup := make(chan os.Signal, 1)
	signal.Notify(hup, syscall.SIGHUP)
	defer signal.Stop(hup)
	for {
		select {
		case <-hup:
			if err := a.Store.Reload(); err != nil {
				a.Log.Warn("", err.Error())
			} else {
				a.Log.Info("", "reloaded")
			}
			select {
			case wake <- struct{}{}:
			default:
			}
		case <-ctx.Done():
			return
		}
	}
}

// refusedPause is the least time between two readings of tokens because the store refused the present one.
const refusedPause = 10 * time.Second

// readsTokens hears how reads go and, when the store refuses one, reads tokens and certificates again: they may have
// been replaced without anybody saying so.
func (a *Agent) readsTokens(heard func(intent.Prefix, error)) func(intent.Prefix, error) {
	var mu sync.Mutex
	var last time.Time
	return func(prefix intent.Prefix, err error) {
		heard(prefix, err)
		mu.Lock()
		defer mu.Unlock()
		if !errors.Is(err, store.ErrDenied) || !last.IsZero() && time.Since(last) < refusedPause {
			return
		}
		last = time.Now()
		if err := a.Store.Reload(); err != nil {
			a.Log.Warn("", err.Error())
		}
	}
}
