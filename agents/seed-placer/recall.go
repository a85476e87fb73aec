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

// recalled is what the workers were told last, as it is kept in the state directory: after a restart they begin with that
// at once, and go on with it for as long as the store is away.
type recalled struct {
	Node   intent.Name
	Root   intent.Prefix
	Tables tableSet
}

func (p *placer) recallPath() string { return filepath.Join(p.agent.StateDir, "tables.json") }

// remember keeps what the workers were told. Where it cannot be kept, the next start only takes longer.
func (p *placer) remember(set tableSet) {
	a := p.agent
	if err := host.WriteCache(p.recallPath(), recalled{a.Node, a.Tree.Intent(), set}); err != nil {
		a.Log.Warn("", fmt.Sprintf("remember what runs: %v", err))
	}
}

// resume tells the workers what they were told last. A damaged file is moved aside: it is only a cache.
func (p *placer) resume(ctx context.Context) error {
	var last recalled
	switch err := host.ReadCache(p.recallPath(), &last); {
	case errors.Is(err, fs.ErrNotExist):
		return nil
	case err != nil:
		aside, _ := host.Aside(p.recallPath())
		p.agent.Log.Warn("", fmt.Sprintf("%v; moving it to %s", err, aside))
		return nil
	case last.Node != p.agent.Node || last.Root != p.agent.Tree.Intent() || len(last.Tables) == 0:
		return nil
	}
	for name, table := range last.Tables {
		for seed, peers := range table.Routes { // where this node's other workers listen is new with each start
			table.Routes[seed] = slices.DeleteFunc(peers, func(to wire.Peer) bool { return to.Node == string(p.agent.Node) })
		}
		last.Tables[name] = table
	}
	if err := p.crew.tell(last.Tables, last.Tables.digest()); err != nil {
		return err
	}
	p.crew.begun(ctx)
	return nil
}
