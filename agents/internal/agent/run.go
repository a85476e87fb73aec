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

// finalWriteTimeout bounds each of the two writes of a stopping agent. Together with [converge.Grace] a stop takes less
// than 5 s, since the alive key is released while the last step finishes.
const finalWriteTimeout = 700 * time.Millisecond

// runContinuously runs the agent until ctx ends.
func runContinuously[D, A any, S converge.Step](ctx context.Context, listen string, a *Agent, source Source[D], loop *converge.Loop[D, A, S]) error {
	a.Log.Info("", fmt.Sprintf("watching %s at %s", source.Name, a.Store.Address()))
	health := newStoreHealth(a.Log)
	r := newReporter(a)
	recordIndex(r, source, loop)
	m := newMetrics(a, health)
	if err := m.serve(ctx, listen); err != nil {
		return err
	}
	wake := make(chan struct{}, 1)
	watchdog := &watchdog{start: time.Now(), timeout: max(watchdogTimeout, 3*loop.Resync)}
	loop.Wake = mergeWakes(ctx, loop.Wake, wake)
	loop.Observe = timeObserve(m, loop.Observe)
	loop.Report = func(p converge.Pass) {
		watchdog.beat()
		m.pass(p)
		r.enqueue(p)
	}
	var background sync.WaitGroup
	background.Go(func() { r.writeReports(ctx) })
	background.Go(func() { r.run(ctx) })
	background.Go(func() { a.stayAlive(ctx, r.presence) })
	background.Go(func() { a.reloadOnHUP(ctx, wake) })
	background.Go(func() { watchdog.run(ctx, health) })
	loop.Run(ctx, source.Watch(ctx, a.reloadOnDenied(health.record)))
	_, _ = daemon.SdNotify(false, daemon.SdNotifyStopping)
	a.Log.Info("", "stopped")
	background.Wait()
	finalCtx, cancel := context.WithTimeout(context.WithoutCancel(ctx), finalWriteTimeout)
	defer cancel()
	_ = r.flush(finalCtx)
	return nil
}

// mergeWakes forwards a to b and returns b.
func mergeWakes(ctx context.Context, a <-chan struct{}, b chan struct{}) <-chan struct{} {
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

// reloadOnHUP reloads tokens and certificates on SIGHUP and requests a pass.
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

// reloadPause is the minimum time between two reloads that a denied read triggers.
const reloadPause = 10 * time.Second

// reloadOnDenied wraps heard: when the store denies a read, it reloads tokens and certificates, which may have been
// replaced without a SIGHUP.
func (a *Agent) reloadOnDenied(heard func(intent.Prefix, error)) func(intent.Prefix, error) {
	var mu sync.Mutex
	var last time.Time
	return func(prefix intent.Prefix, err error) {
		heard(prefix, err)
		mu.Lock()
		defer mu.Unlock()
		if !errors.Is(err, store.ErrDenied) || !last.IsZero() && time.Since(last) < reloadPause {
			return
		}
		last = time.Now()
		if err := a.Store.Reload(); err != nil {
			a.Log.Warn("", err.Error())
		}
	}
}
