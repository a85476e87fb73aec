package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"
	"slices"

	"github.com/platypus-platform/platypus/agents/internal/host"
	"github.com/platypus-platform/platypus/agents/seed-placer/wire"
	"github.com/platypus-platform/platypus/intent"
)

// cachedConfig is the last configuration of the workers, stored in the state directory. After a restart the workers
// start with it at once, even while the store cannot be reached.
type cachedConfig struct {
	Node    intent.Name
	Root    intent.Prefix
	Configs workerConfigs `json:"Tables"`
}

func (p *placer) configCachePath() string { return filepath.Join(p.agent.StateDir, "tables.json") }

// saveConfig stores the configuration. If it fails, the next start only takes longer.
func (p *placer) saveConfig(configs workerConfigs) {
	a := p.agent
	if err := host.WriteCache(p.configCachePath(), cachedConfig{a.Node, a.Tree.Intent(), configs}); err != nil {
		a.Log.Warn("", fmt.Sprintf("remember what runs: %v", err))
	}
}

// restoreConfig starts the workers with the stored configuration. A damaged file is moved aside: it is only a cache.
func (p *placer) restoreConfig(ctx context.Context) error {
	var cached cachedConfig
	switch err := host.ReadCache(p.configCachePath(), &cached); {
	case errors.Is(err, fs.ErrNotExist):
		return nil
	case err != nil:
		moved, _ := host.Aside(p.configCachePath())
		p.agent.Log.Warn("", fmt.Sprintf("%v; moving it to %s", err, moved))
		return nil
	case cached.Node != p.agent.Node || cached.Root != p.agent.Tree.Intent() || len(cached.Configs) == 0:
		return nil
	}
	for name, config := range cached.Configs {
		for seed, peers := range config.Routes { // this node's single-seed workers get new addresses with each start
			config.Routes[seed] = slices.DeleteFunc(peers, func(to wire.Peer) bool { return to.Node == string(p.agent.Node) })
		}
		cached.Configs[name] = config
	}
	if err := p.workers.configure(cached.Configs, cached.Configs.digest()); err != nil {
		return err
	}
	p.workers.waitStarted(ctx)
	return nil
}
