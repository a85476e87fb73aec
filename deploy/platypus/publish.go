package main

import (
	"context"
	"encoding/json"
	"fmt"

	"github.com/platypus-platform/platypus/deploy/platypus/internal/intentfile"
	"github.com/platypus-platform/platypus/deploy/platypus/internal/world"
	"github.com/platypus-platform/platypus/store/history"
)

// publish writes one value of intent through the history, if it differs from what stands there. change gets the members
// that are declared now, none when nothing is.
func (sh *shell) publish(ctx context.Context, key, what string, change func(now map[string]any)) error {
	now, err := world.Read(ctx, sh.store, sh.tree)
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
	p, err := sh.planEntries(now, []intentfile.Entry{intentfile.NewEntry(key, value)})
	if err != nil {
		return err
	}
	if len(p.changes) == 0 {
		sh.say("%s already", what)
		return nil
	}
	commits, err := sh.commit(ctx, p.changes, history.Request{Note: history.Note{Message: what}})
	if err != nil {
		return err
	}
	sh.wrote(what, commits)
	return nil
}
