package agent

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"sync/atomic"
	"time"

	"github.com/platypus-platform/platypus/intent"
	"github.com/platypus-platform/platypus/store"
)

// aliveTTL is how long the alive key outlives the last renewal of its session.
const aliveTTL = 60 * time.Second

// otherCopyPoll is how often an agent checks whether another copy still holds the alive key.
const otherCopyPoll = 10 * time.Second

// aliveRecord is the value of the alive key.
type aliveRecord struct {
	PID     int       `json:"pid"`
	Host    string    `json:"host,omitempty"`
	Version string    `json:"version"`
	Since   time.Time `json:"since"`
	Lock    string    `json:"lock,omitempty"` // of the state directory: a process that holds the same lock knows that this copy has ended
}

func newAliveRecord(lock string) aliveRecord {
	host, _ := os.Hostname()
	return aliveRecord{PID: os.Getpid(), Host: host, Version: Version, Since: time.Now().UTC().Truncate(time.Second), Lock: lock}
}

// String describes the process, as far as it is known.
func (s aliveRecord) String() string {
	if s.PID == 0 {
		return "of another version"
	}
	return fmt.Sprintf("pid %d on %s, since %s", s.PID, cmp.Or(s.Host, "its host"), s.Since.Format(time.RFC3339))
}

// presence records whether this copy holds the alive key: only the holder writes the report.
type presence struct {
	mayReport atomic.Bool
	changed   chan struct{} // carries a value once the report may be written
}

func newPresence() *presence { return &presence{changed: make(chan struct{}, 1)} }

func (p *presence) setMayReport(mayReport bool) {
	if p.mayReport.Swap(mayReport) || !mayReport {
		return
	}
	select {
	case p.changed <- struct{}{}:
	default:
	}
}

// stayAlive holds the alive key for as long as the agent runs. It logs a failure once.
func (a *Agent) stayAlive(ctx context.Context, p *presence) {
	logged := ""
	for wait := time.Second; ctx.Err() == nil; wait = min(2*wait, time.Minute) {
		held, other, err := a.holdAlive(ctx, p)
		text := ""
		switch {
		case held:
			wait = time.Second
		case other != "":
			wait = otherCopyPoll
			text = fmt.Sprintf("%s; this copy writes no report: end one of them", other)
		case errors.Is(err, store.ErrDenied):
			text = fmt.Sprintf("show sign of life: %v", err)
		}
		if text != "" && text != logged {
			a.Log.Warn("", text)
		}
		logged = text
		select {
		case <-time.After(wait):
		case <-ctx.Done():
		}
	}
}

// holdAlive takes the alive key and returns when that fails, the key is lost, or ctx ends. other describes another copy
// that holds it, if any.
func (a *Agent) holdAlive(ctx context.Context, p *presence) (held bool, other string, err error) {
	if other, err = a.otherCopy(ctx); other != "" {
		p.setMayReport(false)
		return false, other, nil
	}
	key := a.Tree.Alive(a.Node, intent.Name(a.Name))
	value, err := json.Marshal(newAliveRecord(a.lock))
	if err != nil {
		return false, "", err
	}
	session, err := a.Store.NewSession(ctx, "platypus "+a.Name+" on "+string(a.Node), aliveTTL, time.Millisecond, store.DeleteKeys)
	if err != nil {
		p.setMayReport(true) // as far as this agent can know, no other copy runs
		return false, "", err
	}
	held, err = session.Acquire(ctx, key, value)
	p.setMayReport(held || err != nil)
	if held {
		select {
		case <-session.Lost():
		case <-ctx.Done():
		}
	}
	finalCtx, cancel := context.WithTimeout(context.WithoutCancel(ctx), finalWriteTimeout)
	defer cancel()
	_ = session.Close(finalCtx)
	return held, "", err
}

// otherCopy describes another copy of this agent that holds the alive key of its node, "" when none does. A holder that
// had the lock of this same state directory has ended, so its session is ended at once.
func (a *Agent) otherCopy(ctx context.Context) (string, error) {
	session, value, err := a.Store.Holder(ctx, a.Tree.Alive(a.Node, intent.Name(a.Name)))
	if err != nil || session == "" {
		return "", err
	}
	var holder aliveRecord
	_ = json.Unmarshal(value, &holder) // a value of another version still has a holder
	if a.lock != "" && holder.Lock == a.lock {
		return "", a.Store.EndSession(ctx, session)
	}
	return fmt.Sprintf("another %s runs as node %s (%s)", a.Name, a.Node, holder), nil
}
