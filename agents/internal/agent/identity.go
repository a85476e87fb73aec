package agent

import (
	"cmp"
	"fmt"
	"path/filepath"
	"reflect"
	"slices"
	"sync"

	"github.com/platypus-platform/platypus/agents/internal/host"
	"github.com/platypus-platform/platypus/intent"
)

// identity records for which node and root the agent works on this host. After a change of --node or --root, everything
// on the host would look unwanted, which is likely a mistake.
type identity struct {
	agent     *Agent
	current   keyspace
	mu        sync.Mutex
	previous  keyspace // zero when nothing is recorded
	lastIndex uint64   // index of the newest snapshot that was compared with its predecessor
}

// keyspace is what an agent follows, as stored in identity.json.
type keyspace struct {
	Node intent.Name   `json:"node"`
	Root intent.Prefix `json:"root"`
	// SetBack describes how the store returned to an older state; it is cleared when no owned app has vanished.
	SetBack string `json:"set_back,omitempty"`
	// Placed are the apps that the allocator, not a person, last put here, sorted. Their removal is not a person's
	// mistake.
	Placed []string `json:"placed,omitempty"`
}

func (w keyspace) same(other keyspace) bool { return w.Node == other.Node && w.Root == other.Root }

func newIdentity(a *Agent) *identity {
	i := &identity{agent: a, current: keyspace{Node: a.Node, Root: a.Tree.Intent()}}
	a.loadCache(i.path(), &i.previous)
	return i
}

func (i *identity) path() string { return filepath.Join(i.agent.StateDir, "identity.json") }

// changeReason describes a change of node or root since the last run, "" when there is none.
func (i *identity) changeReason() string {
	i.mu.Lock()
	defer i.mu.Unlock()
	switch {
	case i.previous.Node == "" || i.previous.same(i.current):
		return ""
	case i.previous.Root == i.current.Root:
		return fmt.Sprintf("this host was node %s until now, and is node %s (did you mean --node %[1]s?)", i.previous.Node, i.current.Node)
	}
	return fmt.Sprintf("this host was node %s below %q until now, and is node %s below %q (did you mean another --root?)",
		i.previous.Node, i.previous.Root, i.current.Node, i.current.Root)
}

// setBackReason describes how the store returned to an older state, "" when it did not.
func (i *identity) setBackReason() string {
	i.mu.Lock()
	defer i.mu.Unlock()
	return i.previous.SetBack
}

// recordSnapshot records a snapshot's apps: placed by the allocator, own by a person. why describes how the store
// returned to an older state, "" when it did not.
func (i *identity) recordSnapshot(index uint64, why string, placed, own []string) {
	i.mu.Lock()
	defer i.mu.Unlock()
	i.lastIndex = index
	now := i.previous
	now.Placed = slices.DeleteFunc(slices.Concat(now.Placed, placed), func(app string) bool { return slices.Contains(own, app) })
	slices.Sort(now.Placed)
	now.Placed = slices.Compact(now.Placed)
	if why == "" && slices.Equal(now.Placed, i.previous.Placed) {
		return
	}
	if now.Node == "" {
		now.Node, now.Root = i.current.Node, i.current.Root
	}
	now.SetBack = cmp.Or(why, now.SetBack)
	i.save(now)
}

// allPlaced reports whether the allocator put all of these apps here.
func (i *identity) allPlaced(apps []string) bool {
	i.mu.Lock()
	defer i.mu.Unlock()
	return !slices.ContainsFunc(apps, func(app string) bool { return !slices.Contains(i.previous.Placed, app) })
}

// acceptCurrent records the current node and root: no app of a previous one is left to be removed by mistake. It clears
// SetBack unless a newer snapshot than the one with that index was recorded.
func (i *identity) acceptCurrent(index uint64) {
	i.mu.Lock()
	defer i.mu.Unlock()
	now := i.current
	now.Placed = i.previous.Placed
	if index != i.lastIndex {
		now.SetBack = i.previous.SetBack
	}
	i.save(now)
}

// save stores the keyspace, unless it is a dry run. The caller holds the lock.
func (i *identity) save(now keyspace) {
	if reflect.DeepEqual(i.previous, now) {
		return
	}
	i.previous = now
	if i.agent.DryRun {
		return
	}
	if err := host.WriteCache(i.path(), now); err != nil {
		i.agent.Log.Warn("", fmt.Sprintf("remember the node: %v", err))
	}
}
