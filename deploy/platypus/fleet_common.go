package main

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"
	"sync"

	"github.com/platypus-platform/platypus/deploy/platypus/internal/change"
	"github.com/platypus-platform/platypus/deploy/platypus/internal/flagline"
	"github.com/platypus-platform/platypus/intent"
	"github.com/platypus-platform/platypus/intent/fleet"
	"github.com/platypus-platform/platypus/store"
	"github.com/platypus-platform/platypus/store/history"
)

// Shared code of the fleet verbs.

// readFleet reads everything that placement depends on, all prefixes concurrently.
func (cmd *command) readFleet(ctx context.Context) (*fleet.Fleet, error) {
	prefixes := append(fleet.Prefixes(cmd.tree), cmd.tree.Alives(), cmd.tree.Statuses().Join("setlive"))
	pairs, errs := make([][]intent.Pair, len(prefixes)), make([]error, len(prefixes))
	var all sync.WaitGroup
	for i, prefix := range prefixes {
		all.Go(func() { pairs[i], _, errs[i] = cmd.store.List(ctx, prefix, store.Default) })
	}
	all.Wait()
	var together []intent.Pair
	for i := range prefixes {
		if errs[i] != nil {
			return nil, errs[i]
		}
		together = append(together, pairs[i]...)
	}
	f := fleet.Read(cmd.tree, together)
	alive, ran := map[string]bool{}, map[string]bool{}
	for _, p := range pairs[len(prefixes)-2] {
		rest, _ := cmd.tree.Alives().Below(p.Key)
		node, _, _ := strings.Cut(rest, "/")
		alive[node] = true
	}
	for _, p := range pairs[len(prefixes)-1] {
		node, _ := cmd.tree.Statuses().Join("setlive").Below(p.Key)
		ran[node] = true
	}
	for _, m := range f.Machines {
		m.Away = ran[string(m.Name())] && !alive[string(m.Name())]
	}
	return f, nil
}

// writeKey writes one key of intent through the history; index is that of the previous value, 0 for none, and a nil
// value removes the key.
func (cmd *command) writeKey(ctx context.Context, key string, before []byte, index uint64, after []byte, message string) (history.Commit, error) {
	c, changed := change.Between(cmd.intentKey(key), before, after)
	if !changed {
		return history.Commit{}, history.ErrUnchanged
	}
	c.Index = index
	commits, err := cmd.commit(ctx, []change.Change{c}, history.Request{Note: history.Note{Message: message}})
	if err != nil {
		return history.Commit{}, err
	}
	return commits[0], nil
}

// intentKey returns a key of the store as the history names it.
func (cmd *command) intentKey(key string) string {
	return strings.TrimPrefix(key, string(cmd.tree.Intent()))
}

// machineArg finds the machine that an argument names, as NAME or REGION/NAME.
func (cmd *command) machineArg(ctx context.Context, i int) (intent.Pair, error) {
	pairs, _, err := cmd.store.List(ctx, cmd.tree.Machines(), store.Default)
	if err != nil {
		return intent.Pair{}, err
	}
	var names []string
	for _, p := range pairs {
		rest, _ := cmd.tree.Machines().Below(p.Key)
		_, name, _ := strings.Cut(rest, "/")
		if rest == cmd.args[i] || name == cmd.args[i] {
			return p, nil
		}
		names = append(names, name)
	}
	return intent.Pair{}, fmt.Errorf("no machine is called %s%s: platypus machines lists them", cmd.args[i], didYouMean(cmd.args[i], names))
}

// didYouMean suggests the closest known word.
func didYouMean(word string, known []string) string {
	if near := flagline.Nearest(word, known); near != "" {
		return ": did you mean " + near + "?"
	}
	return ""
}

// vmNotDeclared is the error for a vm that is not declared.
func vmNotDeclared(name intent.Name, f *fleet.Fleet) error {
	var names []string
	for _, v := range f.VMs {
		names = append(names, string(v.Name))
	}
	return fmt.Errorf("no vm is called %s%s: platypus vms lists them, and platypus status the seeds", name, didYouMean(string(name), names))
}

// checkRegion rejects a region that has neither a declaration nor a machine, and lists the known ones.
func (cmd *command) checkRegion(ctx context.Context, code intent.Name) error {
	if code == intent.AnyRegion {
		return nil
	}
	_, found, err := cmd.store.Get(ctx, cmd.tree.Region(code), store.Default)
	if found || err != nil {
		return err
	}
	machines, _, err := cmd.store.List(ctx, cmd.tree.Machines(), store.Default)
	if err != nil {
		return err
	}
	regions, _, err := cmd.store.List(ctx, cmd.tree.Regions(), store.Default)
	if err != nil {
		return err
	}
	codes := fleet.Read(cmd.tree, append(machines, regions...)).Codes()
	words := []string{}
	for _, c := range codes {
		if c == code {
			return nil
		}
		words = append(words, string(c))
	}
	if len(words) == 0 {
		return usage("region %s is not known, nor is any other: platypus import regions FILE.csv", code)
	}
	return usage("region %s is not known%s; known are %s, and any", code, didYouMean(string(code), words), strings.Join(words, " "))
}

// regionCheck makes a commit validate the regions of a vm in its initial read, and reject an unknown one.
func (cmd *command) regionCheck(codes intent.Regions) (keys []string, judge func(context.Context, map[string]intent.Pair) error) {
	for _, code := range codes {
		if code != intent.AnyRegion {
			keys = append(keys, cmd.intentKey(cmd.tree.Region(code)))
		}
	}
	return keys, func(ctx context.Context, live map[string]intent.Pair) error {
		for _, code := range codes {
			if live[cmd.intentKey(cmd.tree.Region(code))].ModifyIndex > 0 {
				continue
			}
			if err := cmd.checkRegion(ctx, code); err != nil { // it may have machines all the same
				return err
			}
		}
		return nil
	}
}

// setMembers sets some members of a JSON object, or removes those with a nil value; all others stay.
func setMembers(object []byte, members map[string]any) ([]byte, error) {
	all := map[string]json.RawMessage{}
	if err := json.Unmarshal(object, &all); err != nil {
		return nil, err
	}
	for name, value := range members {
		if value == nil {
			delete(all, name)
			continue
		}
		data, err := json.Marshal(value)
		if err != nil {
			return nil, err
		}
		all[name] = data
	}
	return json.Marshal(all)
}
