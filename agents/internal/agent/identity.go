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

// identity remembers for which node and root the agent works on this host. A host that gets another name, or an agent
// another root, would find that none of what is there is wanted any more, and be wrong.
type identity struct {
	agent *Agent
	now   whose
	mu    sync.Mutex
	then  whose  // zero when nothing is remembered
	read  uint64 // index of the newest snapshot that was compared with the one before it
}

// whose is the key space that an agent follows.
type whose struct {
	Node intent.Name   `json:"node"`
	Root intent.Prefix `json:"root"`
	// SetBack says how the store went back to an older state, until nothing that is owned has vanished.
	SetBack string `json:"set_back,omitempty"`
	// Placed are the apps that were last put here by the allocator and not by a person, sorted. When it takes one away
	// again, that is not a mistake of a person's.
	Placed []string `json:"placed,omitempty"`
}

func (w whose) same(other whose) bool { return w.Node == other.Node && w.Root == other.Root }

func newIdentity(a *Agent) *identity {
	i := &identity{agent: a, now: whose{Node: a.Node, Root: a.Tree.Intent()}}
	a.recall(i.path(), &i.then)
	return i
}

func (i *identity) path() string { return filepath.Join(i.agent.StateDir, "identity.json") }

// moved says of whom the host was before, "" when it is the same.
func (i *identity) moved() string {
	i.mu.Lock()
	defer i.mu.Unlock()
	switch {
	case i.then.Node == "" || i.then.same(i.now):
		return ""
	case i.then.Root == i.now.Root:
		return fmt.Sprintf("this host was node %s until now, and is node %s (did you mean --node %[1]s?)", i.then.Node, i.now.Node)
	}
	return fmt.Sprintf("this host was node %s below %q until now, and is node %s below %q (did you mean another --root?)",
		i.then.Node, i.then.Root, i.now.Node, i.now.Root)
}

// setBack says how the store went back to an older state since nothing that is owned had vanished, "" when it did not.
func (i *identity) setBack() string {
	i.mu.Lock()
	defer i.mu.Unlock()
	return i.then.SetBack
}

// recordSnapshot notes what a snapshot says and how the store went back to an older state before it, "" when it did not.
// placed are the apps that the allocator put on the node, own those that a person did.
func (i *identity) recordSnapshot(index uint64, why string, placed, own []string) {
	i.mu.Lock()
	defer i.mu.Unlock()
	i.read = index
	now := i.then
	now.Placed = slices.DeleteFunc(slices.Concat(now.Placed, placed), func(app string) bool { return slices.Contains(own, app) })
	slices.Sort(now.Placed)
	now.Placed = slices.Compact(now.Placed)
	if why == "" && slices.Equal(now.Placed, i.then.Placed) {
		return
	}
	if now.Node == "" {
		now.Node, now.Root = i.now.Node, i.now.Root
	}
	now.SetBack = cmp.Or(why, now.SetBack)
	i.save(now)
}

// allPlaced reports whether the allocator put all of these apps here.
func (i *identity) allPlaced(apps []string) bool {
	i.mu.Lock()
	defer i.mu.Unlock()
	return !slices.ContainsFunc(apps, func(app string) bool { return !slices.Contains(i.then.Placed, app) })
}

// settled remembers the present node and root: nothing of another one is left that could be removed by mistake. That the
// store went back is forgotten, too, unless there is newer intent than the one of that index, on which this was found.
func (i *identity) settled(index uint64) {
	i.mu.Lock()
	defer i.mu.Unlock()
	now := i.now
	now.Placed = i.then.Placed
	if index != i.read {
		now.SetBack = i.then.SetBack
	}
	i.save(now)
}

// save remembers whose the host is. The caller holds the lock.
func (i *identity) save(now whose) {
	if reflect.DeepEqual(i.then, now) {
		return
	}
	i.then = now
	if i.agent.DryRun {
		return
	}
	if err := host.WriteCache(i.path(), now); err != nil {
		i.agent.Log.Warn("", fmt.Sprintf("remember the node: %v", err))
	}
}
