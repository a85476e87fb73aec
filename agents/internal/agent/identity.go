package agent

import (
	"fmt"
	"path/filepath"
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
	then  whose // zero when nothing is remembered
}

// whose is the key space that an agent follows.
type whose struct {
	Node intent.Name   `json:"node"`
	Root intent.Prefix `json:"root"`
}

func newIdentity(a *Agent) *identity {
	i := &identity{agent: a, now: whose{a.Node, a.Tree.Intent()}}
	a.recall(i.path(), &i.then)
	return i
}

func (i *identity) path() string { return filepath.Join(i.agent.StateDir, "identity.json") }

// moved says of whom the host was before, "" when it is the same.
func (i *identity) moved() string {
	i.mu.Lock()
	defer i.mu.Unlock()
	if i.then == (whose{}) || i.then == i.now {
		return ""
	}
	return fmt.Sprintf("this host was %s below %q until now, and is %s below %q", i.then.Node, i.then.Root, i.now.Node, i.now.Root)
}

// settled remembers the present node and root: nothing of another one is left that could be removed by mistake.
func (i *identity) settled() {
	i.mu.Lock()
	defer i.mu.Unlock()
	if i.agent.DryRun || i.then == i.now {
		return
	}
	i.then = i.now
	if err := host.WriteCache(i.path(), i.now); err != nil {
		i.agent.Log.Warn("", fmt.Sprintf("remember the node: %v", err))
	}
}
