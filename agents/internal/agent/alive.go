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

// aliveTTL is how long an agent may be silent before its sign of life falls away.
const aliveTTL = 60 * time.Second

// othersPoll is how often an agent looks whether the sign of life that another copy shows is still there.
const othersPoll = 10 * time.Second

// signOfLife is the value of the alive key.
type signOfLife struct {
	PID     int       `json:"pid"`
	Host    string    `json:"host,omitempty"`
	Version string    `json:"version"`
	Since   time.Time `json:"since"`
	Lock    string    `json:"lock,omitempty"` // of the state directory: who holds that lock knows that this copy has ended
}

func newSignOfLife(lock string) signOfLife {
	host, _ := os.Hostname()
	return signOfLife{PID: os.Getpid(), Host: host, Version: Version, Since: time.Now().UTC().Truncate(time.Second), Lock: lock}
}

// String says which process it is, as far as that is known.
func (s signOfLife) String() string {
	if s.PID == 0 {
		return "of another version"
	}
	return fmt.Sprintf("pid %d on %s, since %s", s.PID, cmp.Or(s.Host, "its host"), s.Since.Format(time.RFC3339))
}

// presence is what a running agent knows of the alive key, for the report is written only by the copy that holds it.
type presence struct {
	mayReport atomic.Bool
	changed   chan struct{} // carries a value once the report may be written
}

func newPresence() *presence { return &presence{changed: make(chan struct{}, 1)} }

func (p *presence) set(mayReport bool) {
	if p.mayReport.Swap(mayReport) || !mayReport {
		return
	}
	select {
	case p.changed <- struct{}{}:
	default:
	}
}

// stayAlive holds the alive key for as long as the agent runs. That it cannot is said once.
func (a *Agent) stayAlive(ctx context.Context, p *presence) {
	said := ""
	for wait := time.Second; ctx.Err() == nil; wait = min(2*wait, time.Minute) {
		held, other, err := a.holdAlive(ctx, p)
		text := ""
		switch {
		case held:
			wait = time.Second
		case other != "":
			wait = othersPoll
			text = fmt.Sprintf("%s; this copy writes no report: end one of them", other)
		case errors.Is(err, store.ErrDenied):
			text = fmt.Sprintf("show sign of life: %v", err)
		}
		if text != "" && text != said {
			a.Log.Warn("", text)
		}
		said = text
		select {
		case <-time.After(wait):
		case <-ctx.Done():
		}
	}
}

// holdAlive returns when the alive key could not be taken, was lost, or ctx ended. other describes the copy that holds
// it, when it is not this one.
func (a *Agent) holdAlive(ctx context.Context, p *presence) (held bool, other string, err error) {
	if other, err = a.otherCopy(ctx); other != "" {
		p.set(false)
		return false, other, nil
	}
	key := a.Tree.Alive(a.Node, intent.Name(a.Name))
	value, err := json.Marshal(newSignOfLife(a.shell.lock))
	if err != nil {
		return false, "", err
	}
	session, err := a.Store.NewSession(ctx, "platypus "+a.Name+" on "+string(a.Node), aliveTTL, time.Millisecond, store.DeleteKeys)
	if err != nil {
		p.set(true) // as far as can be known, no other copy runs
		return false, "", err
	}
	held, err = session.Acquire(ctx, key, value)
	p.set(held || err != nil)
	if held {
		select {
		case <-session.Lost():
		case <-ctx.Done():
		}
	}
	last, cancel := context.WithTimeout(context.WithoutCancel(ctx), lastWord)
	defer cancel()
	_ = session.Close(last)
	return held, "", err
}

// otherCopy describes another copy of this agent that holds the alive key of its node, "" when none does. A copy that
// held the lock of this very state directory has ended: its sign of life is taken away at once.
func (a *Agent) otherCopy(ctx context.Context) (string, error) {
	session, value, err := a.Store.Holder(ctx, a.Tree.Alive(a.Node, intent.Name(a.Name)))
	if err != nil || session == "" {
		return "", err
	}
	var sign signOfLife
	_ = json.Unmarshal(value, &sign) // of another version, it is still somebody's
	if a.shell.lock != "" && sign.Lock == a.shell.lock {
		return "", a.Store.EndSession(ctx, session)
	}
	return fmt.Sprintf("another %s runs as node %s (%s)", a.Name, a.Node, sign), nil
}
