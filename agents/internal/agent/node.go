package agent

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"time"

	"github.com/platypus-platform/platypus/agents/converge"
	"github.com/platypus-platform/platypus/agents/internal/host"
	"github.com/platypus-platform/platypus/intent"
	"github.com/platypus-platform/platypus/store"
)

// confirmationLife is how long a person's go-ahead for removals counts.
const confirmationLife = time.Hour

// cachePatience is how long a starting agent waits for the store before it goes by the last good intent.
const cachePatience = 3 * time.Second

// readNode reads this node's intent once.
func (a *Agent) readNode(ctx context.Context) (intent.Node, error) {
	snapshot, err := a.Store.ReadNode(ctx, a.Tree, a.Node, store.Default)
	if err != nil {
		return intent.Node{}, fmt.Errorf("read intent of %s at %s: %w", a.Node, a.Store.Address(), err)
	}
	return a.nodeOf(snapshot), nil
}

func (a *Agent) nodeOf(s store.Snapshot) intent.Node {
	node := intent.ReadNode(a.Tree, a.Node, s.Pairs)
	node.Index = s.Index
	for _, w := range node.Warnings {
		a.Log.Warn("", w.Error())
	}
	return node
}

// upstream is how the reads of the store go. It is safe for use by many goroutines.
type upstream struct {
	mu     sync.Mutex
	errs   map[intent.Prefix]error
	since  time.Time // when the first of errs came, zero when all is well
	said   string
	log    *Log
	broken chan struct{} // closed at the first error
	once   sync.Once
}

func newUpstream(log *Log) *upstream {
	return &upstream{errs: map[intent.Prefix]error{}, log: log, broken: make(chan struct{})}
}

func (u *upstream) heard(prefix intent.Prefix, err error) {
	u.mu.Lock()
	defer u.mu.Unlock()
	if err == nil {
		delete(u.errs, prefix)
	} else {
		u.errs[prefix] = err
		u.once.Do(func() { close(u.broken) })
	}
	switch {
	case len(u.errs) == 0 && !u.since.IsZero():
		u.log.Info("", fmt.Sprintf("the store answers again after %s", time.Since(u.since).Round(time.Second)))
		u.since, u.said = time.Time{}, ""
	case len(u.errs) > 0 && u.since.IsZero():
		u.since = time.Now()
		u.log.Warn("", fmt.Sprintf("%v; everything stays as it is", err))
	}
}

// down returns for how long the store has not answered, and what it says.
func (u *upstream) down() (time.Duration, error) {
	u.mu.Lock()
	defer u.mu.Unlock()
	for _, err := range u.errs {
		return time.Since(u.since), err
	}
	return 0, nil
}

// watchNode delivers intent as it changes. While the store has not answered at all, the last good intent serves: what
// it names is kept up, and nothing is removed, for a removal needs the store's word.
func (a *Agent) watchNode(ctx context.Context, up *upstream) <-chan intent.Node {
	out := make(chan intent.Node, 1)
	snapshots := a.Store.WatchNode(ctx, a.Tree, a.Node, up.heard)
	go func() {
		patience := time.NewTimer(cachePatience)
		defer patience.Stop()
		for {
			select {
			case s := <-snapshots:
				patience.Stop()
				offer(out, a.nodeOf(s)) // first: what is remembered takes a write to disk, and is only a cache
				a.remember(s)
			case <-patience.C:
				if s, ok := a.remembered(); ok {
					a.Log.Warn("", "the store does not answer: going by the last good intent")
					offer(out, a.nodeOf(s))
				}
			case <-ctx.Done():
				return
			}
		}
	}()
	return out
}

// offer puts node into a channel of one in place of an older one.
func offer(out chan intent.Node, node intent.Node) {
	select {
	case <-out:
	default:
	}
	out <- node
}

type cached struct {
	Node intent.Name
	Root intent.Prefix
	store.Snapshot
}

func (a *Agent) cachePath() string { return filepath.Join(a.StateDir, "intent.json") }

func (a *Agent) remember(s store.Snapshot) {
	data, err := json.Marshal(cached{a.Node, a.Tree.Intent(), s})
	if err == nil {
		err = host.WriteFile(a.cachePath(), data, 0o600)
	}
	if err != nil {
		a.Log.Warn("", fmt.Sprintf("remember intent: %v", err))
	}
}

// remembered returns the last good intent. A damaged file is moved aside: it is only a cache.
func (a *Agent) remembered() (store.Snapshot, bool) {
	data, err := os.ReadFile(a.cachePath())
	if errors.Is(err, os.ErrNotExist) {
		return store.Snapshot{}, false
	}
	var c cached
	if err == nil {
		err = json.Unmarshal(data, &c)
	}
	if err != nil {
		aside := fmt.Sprintf("%s.corrupt-%d", a.cachePath(), time.Now().Unix())
		a.Log.Warn("", fmt.Sprintf("read remembered intent: %v; moving it to %s", err, aside))
		_ = os.Rename(a.cachePath(), aside)
		return store.Snapshot{}, false
	}
	return c.Snapshot, c.Node == a.Node && c.Root == a.Tree.Intent()
}

// guard fills in what is the same for every agent whose subjects are the apps of a node.
func guard[A any, S converge.Step](a *Agent, loop *converge.Loop[intent.Node, A, S]) {
	g := loop.Guard
	if g == nil || g.Wanted != nil {
		return
	}
	g.Wanted = func(node intent.Node) (names []string) {
		for _, app := range node.Apps {
			names = append(names, string(app.Name))
		}
		return names
	}
	g.Gone = func(ctx context.Context, app string) (bool, error) {
		name, err := intent.ParseName(app)
		if err != nil {
			return false, err
		}
		return a.Store.Gone(ctx, a.Tree.Assignment(a.Node, name))
	}
	g.Confirmed = a.confirmed
	g.Hold = hold
}

// hold marks apps as not to be touched.
func hold(node intent.Node, subjects map[string]string, everything *converge.Held) intent.Node {
	node.Apps = slices.Clone(node.Apps)
	for i := range node.Apps {
		if everything != nil && node.Apps[i].Sound() {
			node.Apps[i].Phase, node.Apps[i].Reason = intent.PhaseHeld, everything.String()
		}
	}
	for name, reason := range subjects {
		node.Apps = append(node.Apps, intent.App{Name: intent.Name(name), Phase: intent.PhaseHeld, Reason: reason})
	}
	slices.SortFunc(node.Apps, func(x, y intent.App) int { return cmpNames(x.Name, y.Name) })
	return node
}

func cmpNames(x, y intent.Name) int {
	switch {
	case x < y:
		return -1
	case x > y:
		return 1
	}
	return 0
}

// confirmed reports whether a person agreed to these removals within the last hour.
func (a *Agent) confirmed(ctx context.Context, removes []string) (bool, error) {
	pair, found, err := a.Store.Get(ctx, a.Tree.Confirm(a.Node, intent.Name(a.Name)), store.Consistent)
	if err != nil || !found {
		return false, err
	}
	var c intent.Confirmation
	if err := json.Unmarshal(pair.Value, &c); err != nil {
		return false, fmt.Errorf("read %s: %w", pair.Key, err)
	}
	return c.Covers(removes, time.Now(), confirmationLife), nil
}
