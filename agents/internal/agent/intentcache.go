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

// cachedIntent is the last good intent, as stored in the state directory.
type cachedIntent struct {
	Node intent.Name
	Root intent.Prefix
	store.Snapshot
}

func (a *Agent) cachePath() string { return filepath.Join(a.StateDir, "intent.json") }

// saveIntent stores intent for a start while the store is unreachable.
func (a *Agent) saveIntent(s store.Snapshot) {
	if err := host.WriteCache(a.cachePath(), cachedIntent{a.Node, a.Tree.Intent(), s}); err != nil {
		a.Log.Warn("", fmt.Sprintf("remember intent: %v", err))
	}
}

// loadIntent returns the last good intent, if it belongs to this node and root.
func (a *Agent) loadIntent() (store.Snapshot, bool) {
	var c cachedIntent
	if !a.loadCache(a.cachePath(), &c) || c.Node != a.Node || c.Root != a.Tree.Intent() {
		return store.Snapshot{}, false
	}
	return c.Snapshot, true
}

// loadCache reads a cache of the state directory. A damaged file is moved aside: it is only a cache.
func (a *Agent) loadCache(path string, v any) bool {
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
