package agent

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"path/filepath"
	"reflect"
	"slices"
	"sync"
	"time"

	"github.com/platypus-platform/platypus/agents/converge"
	"github.com/platypus-platform/platypus/agents/internal/host"
	"github.com/platypus-platform/platypus/intent"
	"github.com/platypus-platform/platypus/store"
)

// removals remembers, across restarts, which removals were held and which confirmation was used up.
type removals struct {
	agent *Agent
	mu    sync.Mutex
	state removalState
}

type removalState struct {
	Held []string `json:"held,omitempty"` // still on the host, and not declared again
	// Current is the confirmation that is being carried out, Used the one that was: it does not count again, also where
	// the agent may not delete its key.
	Current *confirmation `json:"current,omitempty"`
	Used    *confirmation `json:"used,omitempty"`
}

// confirmation is one write of the confirm key.
type confirmation struct {
	Index   uint64    `json:"index"` // the key's ModifyIndex
	At      time.Time `json:"at"`
	Removes []string  `json:"removes"`
}

func (c *confirmation) is(other *confirmation) bool {
	return c != nil && other != nil && c.Index == other.Index && c.At.Equal(other.At)
}

// void reports whether the confirmation was carried out, or one of what it names is declared again.
func (c *confirmation) void(owned, wanted []string) bool {
	return c != nil && (intersects(c.Removes, wanted) || !intersects(c.Removes, owned))
}

func intersects(a, b []string) bool {
	return slices.ContainsFunc(a, func(s string) bool { return slices.Contains(b, s) })
}

// Removals is the memory of the agent's guard. With it, [Agent.Confirmed] counts a confirmation for one removal only.
func (a *Agent) Removals() converge.Memory {
	r := &removals{agent: a}
	a.loadCache(r.path(), &r.state)
	a.removals = r
	return r
}

func (r *removals) path() string { return filepath.Join(r.agent.StateDir, "removals.json") }

// Held implements [converge.Memory]. It also ends a confirmation that was carried out, or that names what is declared
// again. When the store cannot tell whether there is one, what was held is remembered until it can.
func (r *removals) Held(ctx context.Context, owned, wanted []string) []string {
	r.mu.Lock()
	defer r.mu.Unlock()
	next := r.state
	next.Held = slices.DeleteFunc(slices.Clone(r.state.Held), func(subject string) bool {
		return !slices.Contains(owned, subject) || slices.Contains(wanted, subject)
	})
	given := next.Current
	if given == nil && len(next.Held) < len(r.state.Held) && !r.agent.DryRun {
		var err error
		if given, err = r.agent.confirmation(ctx); errors.Is(err, store.ErrUnreachable) || errors.Is(err, store.ErrDenied) {
			return next.Held
		}
	}
	if !given.void(owned, wanted) || given.is(r.state.Used) {
		r.save(next)
		return next.Held
	}
	next.Current, next.Used = nil, given
	r.save(next)
	if !r.agent.DryRun {
		key := r.agent.confirmKey()
		_, _ = r.agent.Store.Commit(ctx, []store.Change{{Verb: store.DeleteCAS, Key: key, Index: given.Index}}) // Used counts
	}
	return next.Held
}

// Hold implements [converge.Memory].
func (r *removals) Hold(subjects []string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	next := r.state
	next.Held = slices.Compact(slices.Sorted(slices.Values(slices.Concat(next.Held, subjects))))
	r.save(next)
}

// use takes a confirmation up, and reports whether it counts.
func (r *removals) use(given *confirmation) bool {
	if r == nil {
		return true
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if given.is(r.state.Used) {
		return false
	}
	next := r.state
	next.Current = given
	r.save(next)
	return true
}

// save remembers the state. The caller holds the lock.
func (r *removals) save(next removalState) {
	if reflect.DeepEqual(r.state, next) {
		return
	}
	r.state = next
	if r.agent.DryRun {
		return
	}
	if err := host.WriteCache(r.path(), next); err != nil {
		r.agent.Log.Warn("", fmt.Sprintf("remember what is held: %v", err))
	}
}

func (a *Agent) confirmKey() string { return a.Tree.Confirm(a.Node, intent.Name(a.Name)) }

// confirmation reads the agent's confirm key; nil when there is none.
func (a *Agent) confirmation(ctx context.Context) (*confirmation, error) {
	pair, found, err := a.Store.Get(ctx, a.confirmKey(), store.Consistent)
	if err != nil || !found {
		return nil, err
	}
	var c intent.Confirmation
	if err := json.Unmarshal(pair.Value, &c); err != nil {
		return nil, fmt.Errorf("read %s: %w", pair.Key, err)
	}
	return &confirmation{Index: pair.ModifyIndex, At: c.At, Removes: c.Removes}, nil
}
