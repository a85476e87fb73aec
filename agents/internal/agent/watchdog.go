package agent

import (
	"context"
	"os"
	"sync/atomic"
	"time"

	"github.com/coreos/go-systemd/v22/daemon"
)

// watchdogTimeout is how long a loop may go without a pass before systemd's watchdog is no longer fed.
const watchdogTimeout = 5 * time.Minute

// watchdog notifies systemd that the agent is ready and that its loop makes progress. Its times are monotonic: a clock
// step must not end an agent.
type watchdog struct {
	start   time.Time
	timeout time.Duration
	last    atomic.Int64 // when the loop ended a pass, in nanoseconds after start; 0 before the first
}

func (p *watchdog) beat() { p.last.Store(int64(time.Since(p.start))) }

// healthy reports whether the loop makes passes. Before the first one it waits for intent, without a limit.
func (p *watchdog) healthy() bool {
	last := p.last.Load()
	return last == 0 || time.Since(p.start)-time.Duration(last) < p.timeout
}

// run notifies systemd, if it started the agent, until ctx ends. An agent is ready after its first pass, or when the
// store does not answer.
func (p *watchdog) run(ctx context.Context, health *storeHealth) {
	if os.Getenv("NOTIFY_SOCKET") == "" {
		return
	}
	ready, period := false, time.Second
	if interval, err := daemon.SdWatchdogEnabled(false); err == nil && interval > 0 {
		period = min(period, interval/3)
	}
	tick := time.NewTicker(period)
	defer tick.Stop()
	for {
		select {
		case <-tick.C:
		case <-ctx.Done():
			return
		}
		if _, err := health.down(); !ready && (p.last.Load() != 0 || err != nil) {
			ready, _ = daemon.SdNotify(false, daemon.SdNotifyReady)
		}
		if p.healthy() {
			_, _ = daemon.SdNotify(false, daemon.SdNotifyWatchdog)
		}
	}
}
