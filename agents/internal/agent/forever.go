package agent

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"os/signal"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/coreos/go-systemd/v22/daemon"

	"github.com/platypus-platform/platypus/agents/converge"
	"github.com/platypus-platform/platypus/intent"
	"github.com/platypus-platform/platypus/store"
)

// aliveTTL is how long an agent may be silent before its sign of life falls away.
const aliveTTL = 60 * time.Second

// forever runs the agent until ctx ends.
func forever[A any, S converge.Step](ctx context.Context, listen string, a *Agent, loop *converge.Loop[intent.Node, A, S]) error {
	a.Log.Info("", fmt.Sprintf("watching %s at %s", a.Tree.Node(a.Node), a.Store.Address()))
	up := newUpstream(a.Log)
	r := newReporting(a, 0)
	m := newMeters(a, up)
	if err := m.serve(ctx, listen); err != nil {
		return err
	}
	desired := make(chan intent.Node)
	wake := make(chan struct{}, 1)
	var pulse pulse
	loop.Wake = merged(ctx, loop.Wake, wake)
	loop.Observe = timed(m, loop.Observe)
	loop.Report = func(p converge.Pass) {
		pulse.beat()
		m.pass(p)
		r.pass(p)
	}
	var side sync.WaitGroup
	side.Go(func() { r.run(ctx) })
	side.Go(func() { a.stayAlive(ctx) })
	side.Go(func() { a.reloadOnHUP(ctx, wake) })
	side.Go(func() { pulse.run(ctx, up) })
	side.Go(func() { relay(ctx, a.watchNode(ctx, up), desired, r) })
	loop.Run(ctx, desired)
	_, _ = daemon.SdNotify(false, daemon.SdNotifyStopping)
	a.Log.Info("", "stopped")
	last, cancel := context.WithTimeout(context.WithoutCancel(ctx), time.Second)
	defer cancel()
	_ = r.reporter.Flush(last)
	side.Wait()
	return nil
}

// relay hands intent to the loop and notes its index for the report.
func relay(ctx context.Context, from <-chan intent.Node, to chan<- intent.Node, r *reporting) {
	for {
		select {
		case node := <-from:
			r.index.Store(node.Index)
			select {
			case to <- node:
			case <-ctx.Done():
				return
			}
		case <-ctx.Done():
			return
		}
	}
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

// stayAlive holds the alive key for as long as the agent runs.
func (a *Agent) stayAlive(ctx context.Context) {
	key := a.Tree.Alive(a.Node, intent.Name(a.Name))
	value, _ := json.Marshal(map[string]any{"pid": os.Getpid(), "version": Version, "since": time.Now().UTC().Truncate(time.Second)})
	for wait := time.Second; ctx.Err() == nil; wait = min(2*wait, time.Minute) {
		session, err := a.Store.NewSession(ctx, "platypus "+a.Name+" on "+string(a.Node), aliveTTL, time.Millisecond, store.DeleteKeys)
		if err == nil {
			if held, _ := session.Acquire(ctx, key, value); held {
				wait = time.Second
				select {
				case <-session.Lost():
				case <-ctx.Done():
				}
			}
			last, cancel := context.WithTimeout(context.WithoutCancel(ctx), time.Second)
			_ = session.Close(last)
			cancel()
		}
		select {
		case <-time.After(wait):
		case <-ctx.Done():
		}
	}
}

// pulse tells systemd that the agent is ready and that its loop turns.
type pulse struct {
	last atomic.Int64 // when the loop ended a pass, in Unix seconds; 0 before the first
}

// stuck is how long a loop may be silent before the watchdog is left to bite.
const stuck = 5 * time.Minute

func (p *pulse) beat() { p.last.Store(time.Now().Unix()) }

func (p *pulse) run(ctx context.Context, up *upstream) {
	ready, period := false, time.Second
	if bite, err := daemon.SdWatchdogEnabled(false); err == nil && bite > 0 {
		period = min(period, bite/3)
	}
	tick := time.NewTicker(period)
	defer tick.Stop()
	broken := (<-chan struct{})(up.broken)
	for {
		select {
		case <-broken:
			broken = nil // without a store there is nothing to wait for: the agent is as ready as it can be
			p.last.CompareAndSwap(0, time.Now().Unix())
		case <-tick.C:
		case <-ctx.Done():
			return
		}
		last := p.last.Load()
		if last != 0 && !ready {
			_, _ = daemon.SdNotify(false, daemon.SdNotifyReady)
			ready = true
		}
		if since := time.Since(time.Unix(last, 0)); last == 0 || since < stuck || broken == nil {
			_, _ = daemon.SdNotify(false, daemon.SdNotifyWatchdog)
		}
	}
}
