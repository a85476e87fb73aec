package store_test

import (
	"errors"
	"testing"

	"github.com/platypus-platform/platypus/intent"
	"github.com/platypus-platform/platypus/store"
)

func TestStore_Dry_ReadsAndRejectsWrites(t *testing.T) {
	each(t, func(t *testing.T, s *store.Store, tree intent.Tree) {
		key := tree.Region("SIN")
		put(t, s, key, "{}")
		dry, err := store.Open(store.Config{Address: s.Address(), Dry: true})
		if err != nil {
			t.Fatal(err)
		}
		ctx := t.Context()
		_, committed := dry.Commit(ctx, []store.Change{{Verb: store.Set, Key: key, Value: []byte("1")}, {Verb: store.Remove, Key: "k"}})
		for want, err := range map[int]error{1: errors.Join(dry.Put(ctx, key, []byte("1")), dry.Delete(ctx, key)), 2: committed} {
			if refused := new(store.DryError); !errors.As(err, &refused) || len(refused.Changes) != want || refused.Changes[0].Key != key {
				t.Errorf("%v", err)
			}
		}
		if _, err := dry.NewSession(ctx, "x", store.MinTTL, 0, store.DeleteKeys); err == nil {
			t.Error("a session was opened")
		}
		if err := dry.Register(ctx, store.Service{ID: "x", Name: "x"}); err == nil {
			t.Error("a service was registered")
		}
		if pair, found, err := dry.Get(ctx, key, store.Default); err != nil || !found || string(pair.Value) != "{}" {
			t.Errorf("%s, %v", pair.Value, err)
		}
		if pairs, err := dry.Together(ctx, []string{key}); err != nil || string(pairs[0].Value) != "{}" {
			t.Error(err)
		}
	})
}
