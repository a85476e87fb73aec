package agent

import (
	"context"
	"os"
	"sync/atomic"
	"time"

	"github.com/coreos/go-systemd/v22/daemon"
)

// stuck is how long a loop may be silent before the watchdog is left to bite.
const stuck = 5 * time.Minute

// pulse tells systemd that the agent is ready and that its loop turns. Its times are monotonic: a clock that is set must
// not end an agent.
type pulse struct {
	start time.Time
	stuck time.Duration
	last  atomic.Int64 // when the loop ended a pass, in nanoseconds after start; 0 before the first
}

func (p *pulse) beat() { p.last.Store(int64(time.Since(p.start))) }

// turns reports whether the loop does its work. Before the first pass it waits for intent, which may take for ever.
func (p *pulse) turns() bool {
	last := p.last.Load()
	return last == 0 || time.Since(p.start)-time.Duration(last) < p.stuck
}

// run tells systemd, if it is systemd that asks, until ctx ends. An agent is ready after its first pass; without a
// store there is nothing to wait for, and it is as ready as it can be.
func (p *pulse) run(ctx context.Context, up *upstream) {
	if os.Getenv("NOTIFY_SOCKET") == "" {
		return
	}
	ready, period := false, time.Second
	if bite, err := daemon.SdWatchdogEnabled(false); err == nil && bite > 0 {
		period = min(period, bite/3)
	}
	tick := time.NewTicker(period)
	defer tick.Stop()
	for {
		select {
		case <-tick.C:
		case <-ctx.Done():
			return
		}
		if _, err := up.down(); !ready && (p.last.Load() != 0 || err != nil) {
			ready, _ = daemon.SdNotify(false, daemon.SdNotifyReady)
		}
		if p.turns() {
			_, _ = daemon.SdNotify(false, daemon.SdNotifyWatchdog)
		}
	}
}
