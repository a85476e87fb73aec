package main

import (
	"context"
	"encoding/json"
	"fmt"

	"github.com/platypus-platform/platypus/deploy/platypus/internal/intentfile"
	"github.com/platypus-platform/platypus/deploy/platypus/internal/world"
	"github.com/platypus-platform/platypus/store/history"
)

// publish writes one value of intent through the history, if it differs from the current one. change gets the declared
// members, or an empty map.
func (cmd *command) publish(ctx context.Context, key, what string, change func(now map[string]any)) error {
	now, err := world.Read(ctx, cmd.store, cmd.tree)
	if err != nil {
		return err
	}
	members := map[string]any{}
	if pair, found := now.Get(key); found {
		if err := json.Unmarshal(pair.Value, &members); err != nil {
			return fmt.Errorf("read %s: %w: mend it with platypus apply", key, err)
		}
	}
	change(members)
	value, err := json.Marshal(members)
	if err != nil {
		return err
	}
	p, err := cmd.planEntries(now, []intentfile.Entry{intentfile.NewEntry(key, value)})
	if err != nil {
		return err
	}
	if len(p.changes) == 0 {
		cmd.infof("%s already", what)
		return nil
	}
	commits, err := cmd.commit(ctx, p.changes, history.Request{Note: history.Note{Message: what}})
	if err != nil {
		return err
	}
	cmd.reportWritten(what, commits)
	return nil
}
