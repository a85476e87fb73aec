package agent

import (
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"

	"github.com/platypus-platform/platypus/agents/internal/host"
	"github.com/platypus-platform/platypus/intent"
	"github.com/platypus-platform/platypus/store"
)

// cached is the last good intent as it is kept in the state directory.
type cached struct {
	Node intent.Name
	Root intent.Prefix
	store.Snapshot
}

func (a *Agent) cachePath() string { return filepath.Join(a.StateDir, "intent.json") }

// remember keeps intent for a start without a store.
func (a *Agent) remember(s store.Snapshot) {
	if err := host.WriteCache(a.cachePath(), cached{a.Node, a.Tree.Intent(), s}); err != nil {
		a.Log.Warn("", fmt.Sprintf("remember intent: %v", err))
	}
}

// remembered returns the last good intent, if it is of this node.
func (a *Agent) remembered() (store.Snapshot, bool) {
	var c cached
	if !a.recall(a.cachePath(), &c) || c.Node != a.Node || c.Root != a.Tree.Intent() {
		return store.Snapshot{}, false
	}
	return c.Snapshot, true
}

// recall reads a cache of the state directory. A damaged file is moved aside: it is only a cache.
func (a *Agent) recall(path string, v any) bool {
	err := host.ReadCache(path, v)
	if err == nil || errors.Is(err, fs.ErrNotExist) {
		return err == nil
	}
	if a.DryRun {
		a.Log.Warn("", err.Error())
		return false
	}
	aside, _ := host.Aside(path)
	a.Log.Warn("", fmt.Sprintf("%v; moving it to %s", err, aside))
	return false
}
