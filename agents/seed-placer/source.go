package main

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strings"

	"github.com/platypus-platform/platypus/agents/internal/agent"
	"github.com/platypus-platform/platypus/intent"
	"github.com/platypus-platform/platypus/store"
)

// prefixes are the parts of the store that concern seeds.
func prefixes(t intent.Tree) []intent.Prefix {
	return []intent.Prefix{t.Seeds(), t.Sites(), t.Blobs(), t.Hosts(), t.Replicas(), t.Holders(), t.Machines()}
}

// source reads and watches all prefixes together.
func source(a *agent.Agent) agent.Source[Desired] {
	return agent.Source[Desired]{
		Name:  "seeds, sites and blobs below " + string(a.Tree.Intent()),
		Index: func(d Desired) uint64 { return d.Index },
		Read: func(ctx context.Context) (Desired, error) {
			parts := map[intent.Prefix]store.Snapshot{}
			for _, p := range prefixes(a.Tree) {
				pairs, index, err := a.Store.List(ctx, p, store.Default)
				if err != nil {
					return Desired{}, fmt.Errorf("read seeds at %s: %w", a.Store.Address(), err)
				}
				parts[p] = store.Snapshot{Pairs: pairs, Index: index}
			}
			return assemble(a.Tree, a.Node, parts), nil
		},
		Watch: func(ctx context.Context, onRead func(intent.Prefix, error)) <-chan Desired {
			return follow(ctx, a, onRead)
		},
	}
}

// follow sends the desired state once every prefix was read, and again after each change.
func follow(ctx context.Context, a *agent.Agent, onRead func(intent.Prefix, error)) <-chan Desired {
	type update struct {
		prefix intent.Prefix
		store.Snapshot
	}
	updates := make(chan update)
	all := prefixes(a.Tree)
	for _, p := range all {
		go func() {
			for snapshots := a.Store.Watch(ctx, p, onRead); ; {
				select {
				case s := <-snapshots:
					select {
					case updates <- update{p, s}:
					case <-ctx.Done():
						return
					}
				case <-ctx.Done():
					return
				}
			}
		}()
	}
	out := make(chan Desired, 1)
	go func() {
		parts := map[intent.Prefix]store.Snapshot{}
		for {
			select {
			case u := <-updates:
				parts[u.prefix] = u.Snapshot
			case <-ctx.Done():
				return
			}
			if len(parts) < len(all) {
				continue
			}
			select {
			case <-out:
			default:
			}
			out <- assemble(a.Tree, a.Node, parts)
		}
	}()
	return out
}

// assemble decodes what was read. Invalid entries are kept, with the reason.
func assemble(t intent.Tree, node intent.Name, parts map[intent.Prefix]store.Snapshot) Desired {
	d := Desired{Blobs: map[string]intent.Blob{}, Hosts: map[string]intent.Host{},
		Claims: map[string]map[string]intent.Replica{}, Holders: map[string][]string{}}
	for prefix, part := range parts {
		d.Index = max(d.Index, part.Index)
		for _, pair := range part.Pairs {
			rest, _ := prefix.Below(pair.Key)
			key := strings.TrimPrefix(pair.Key, string(t.Intent()))
			switch first, second, _ := strings.Cut(rest, "/"); prefix {
			case t.Seeds():
				seed, problems := intent.SeedOf(key, pair.Value)
				d.Seeds = append(d.Seeds, DesiredSeed{Name: first, Seed: seed, Since: pair.CreateIndex, Invalid: invalidReason(key, problems)})
			case t.Sites():
				site, problems := intent.SiteOf(key, pair.Value)
				d.Sites = append(d.Sites, DesiredSite{Name: first, Site: site, Invalid: invalidReason(key, problems)})
			case t.Blobs():
				if blob, problems := intent.BlobOf(key, pair.Value); invalidReason(key, problems) == "" {
					d.Blobs[first] = blob
				}
			case t.Hosts():
				decodeInto(d.Hosts, first, pair.Value)
			case t.Replicas():
				if d.Claims[first] == nil {
					d.Claims[first] = map[string]intent.Replica{}
				}
				decodeInto(d.Claims[first], second, pair.Value)
			case t.Holders():
				d.Holders[first] = append(d.Holders[first], second)
			}
		}
	}
	d.Inventory, d.InventoryProblem = findInventoryRecord(t, node, parts[t.Machines()])
	slices.SortFunc(d.Seeds, byName)
	slices.SortFunc(d.Sites, func(a, b DesiredSite) int { return strings.Compare(a.Name, b.Name) })
	return d
}

// invalidReason returns why a value cannot be used, or "". An invalid name in the key counts, too.
func invalidReason(key string, problems intent.Problems) string {
	if err := problems.Err(); err != nil {
		return err.Error()
	}
	if err := intent.Check(key, []byte(`{}`)).Err(); err != nil && strings.Contains(err.Error(), "name") && !strings.Contains(err.Error(), "missing") {
		return err.Error()
	}
	return ""
}

// decodeInto decodes a value that an agent wrote. An unreadable one is ignored: the agent will write it again.
func decodeInto[T any](into map[string]T, name string, data []byte) {
	var value T
	if json.Unmarshal(data, &value) == nil {
		into[name] = value
	}
}
