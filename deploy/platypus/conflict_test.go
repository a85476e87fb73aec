package main

import (
	"context"
	"errors"
	"testing"

	"github.com/platypus-platform/platypus/deploy/platypus/internal/change"
	"github.com/platypus-platform/platypus/deploy/platypus/internal/world"
	"github.com/platypus-platform/platypus/intent"
	"github.com/platypus-platform/platypus/store"
	"github.com/platypus-platform/platypus/store/history"
)

// TestNobodysWriteIsLost writes between the reading of a plan and its commit, in every way that matters: the commit
// must then write nothing at all.
func TestNobodysWriteIsLost(t *testing.T) {
	t.Parallel()
	for name, start := range stores {
		t.Run(name, func(t *testing.T) {
			ctx := context.Background()
			s, err := store.Open(store.Config{Address: start(t)})
			if err != nil {
				t.Fatal(err)
			}
			for between, do := range map[string]func(key string) error{
				"update": func(key string) error { return s.Put(ctx, key, []byte(`{"cluster":"theirs"}`)) },
				"delete": func(key string) error { return s.Delete(ctx, key) },
			} {
				for what, value := range map[string][]byte{"update": []byte(`{"cluster":"mine"}`), "delete": nil} {
					if between == "delete" && what == "delete" {
						continue // both wanted the same: nothing is lost
					}
					tree, _ := intent.ParseRoot("race-" + between + "-" + what)
					key := tree.Assignment("n", "a")
					if err := s.Put(ctx, key, []byte(`{"cluster":"first"}`)); err != nil {
						t.Fatal(err)
					}
					now, err := world.ReadIntent(ctx, s, tree)
					if err != nil {
						t.Fatal(err)
					}
					changes := change.Changes(now, []world.Edit{{Key: "nodes/n/a", Value: value}, {Key: "nodes/n/b", Value: []byte(`{"cluster":"mine"}`)}})
					if err := do(key); err != nil {
						t.Fatal(err)
					}
					request := history.Request{}
					request.Edits, request.Expect = change.Edits(changes)
					if _, err := history.Open(s, tree).Commit(ctx, request); !errors.Is(err, history.ErrChanged) {
						t.Errorf("their %s, my %s: %v", between, what, err)
					}
					after, found, err := s.Get(ctx, key, store.Consistent)
					if err != nil || found != (between == "update") || found && string(after.Value) != `{"cluster":"theirs"}` {
						t.Errorf("their %s, my %s: %s, %v, %v", between, what, after.Value, found, err)
					}
					if gone, err := s.Gone(ctx, tree.Assignment("n", "b")); err != nil || !gone {
						t.Errorf("their %s, my %s: half of it was written (%v)", between, what, err)
					}
				}
			}
		})
	}
}
