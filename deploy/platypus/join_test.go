package main

import (
	"bytes"
	"context"
	"fmt"
	"maps"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"github.com/platypus-platform/platypus/intent"
	"github.com/platypus-platform/platypus/store"
	"github.com/platypus-platform/platypus/store/embedtest"
	"github.com/platypus-platform/platypus/store/history"
	"github.com/platypus-platform/platypus/store/history/merge"
)

// treeSide is one of two trees of a test: the real one, and what a model says of it.
type treeSide struct {
	root  string
	log   *history.Log
	model merge.Tree
}

// joinFixture is a tree and a fork of it, and what they had in common last: the model of every join.
type joinFixture struct {
	t      *rapid.T
	addr   string
	trunk  treeSide
	branch treeSide
	base   merge.Tree
}

var joinKeys = []string{"clusters/a/p/config", "clusters/b/p/config", "nodes/n/a"}

// drawValue makes a value that is sound in any combination of its members.
func drawValue(t *rapid.T, key string) []byte {
	if strings.HasPrefix(key, "nodes/") {
		return []byte(rapid.SampledFrom([]string{`{"cluster":"p"}`, `{"cluster":"q"}`}).Draw(t, "cluster"))
	}
	members := []string{`"versions":{}`}
	for _, m := range []string{"x", "y"} {
		if n := rapid.IntRange(0, 3).Draw(t, m); n > 0 {
			members = append(members, fmt.Sprintf("%q:%d", m, n))
		}
	}
	return []byte(fmt.Sprintf(`{"versions":{},"user_config":{%s}}`, strings.Join(members[1:], ",")))
}

// edit changes one key of a side, through the history or plainly.
func (f *joinFixture) edit(s *treeSide) {
	key := rapid.SampledFrom(joinKeys).Draw(f.t, "key")
	ctx := context.Background()
	e := history.Edit{Key: key}
	if _, there := s.model[key]; there && rapid.IntRange(0, 4).Draw(f.t, "fate") == 0 {
		e.Delete = true
	} else {
		e.Value = drawValue(f.t, key)
	}
	if string(s.model[key]) == string(e.Value) && !e.Delete {
		return
	}
	plain, err := store.Open(store.Config{Address: f.addr})
	if err != nil {
		f.t.Fatal(err)
	}
	switch path := string(s.log.Tree().Intent()) + key; {
	case rapid.Bool().Draw(f.t, "through the history"):
		_, err = s.log.Commit(ctx, history.Request{Edits: []history.Edit{e}})
	case e.Delete:
		err = plain.Delete(ctx, path)
	default:
		err = plain.Put(ctx, path, e.Value)
	}
	if err != nil {
		f.t.Fatal(err)
	}
	if delete(s.model, key); !e.Delete {
		s.model[key] = e.Value
	}
}

// join brings one side into the other, and holds what comes out against the model.
func (f *joinFixture) join(into, from *treeSide) {
	want, conflicts := merge.Trees([]merge.Tree{f.base}, into.model, from.model, merge.Rules{Lists: merge.Intent, Sound: merge.OneActive})
	args := []string{"join", "--yes", "-m", "joined", from.root}
	code, said := f.run(into.root, args...)
	switch {
	case len(conflicts) > 0:
		if code != exitError || strings.Count(said, "conflict ") < len(conflicts) || !strings.Contains(said, "nothing was written") {
			f.t.Fatalf("%d conflicts: exit %d:\n%s", len(conflicts), code, said)
		}
		f.same(into)
		if code, said = f.run(into.root, append(args, "--theirs", "clusters/", "--theirs", "nodes/")...); code != 0 {
			f.t.Fatalf("--theirs: exit %d:\n%s", code, said)
		}
		want, _ = merge.Trees([]merge.Tree{f.base}, into.model, from.model, merge.Rules{Lists: merge.Intent, Prefer: func(string, string) merge.Side { return merge.Theirs }})
	case code != 0:
		f.t.Fatalf("join: exit %d:\n%s", code, said)
	}
	into.model, f.base = want, maps.Clone(from.model)
	f.same(into)
	if code, said := f.run(into.root, args...); code != 0 || !strings.Contains(said, "unchanged") {
		f.t.Fatalf("joined twice: exit %d:\n%s", code, said)
	}
}

func (f *joinFixture) run(root string, args ...string) (int, string) {
	var said bytes.Buffer
	code := run(context.Background(), append([]string{"platypus", "--http-addr", f.addr, "--root", root}, args...), stdio{strings.NewReader(""), &said, &said})
	return code, said.String()
}

// same holds a tree against its model.
func (f *joinFixture) same(s *treeSide) {
	found, err := s.log.Survey(context.Background())
	if err != nil {
		f.t.Fatal(err)
	}
	if len(found.Pairs) != len(s.model) {
		f.t.Fatalf("%s has %d keys, want %v", s.root, len(found.Pairs), s.model)
	}
	for _, p := range found.Pairs {
		if key := strings.TrimPrefix(p.Key, string(s.log.Tree().Intent())); string(p.Value) != string(s.model[key]) {
			f.t.Fatalf("%s: %s is %s, want %s", s.root, key, p.Value, s.model[key])
		}
	}
}

// TestJoinsInEveryOrder edits a tree and a fork of it, plainly and through the history, and joins them in both directions in
// every order that comes: what they have in common is always what they were joined on last.
func TestJoinsInEveryOrder(t *testing.T) {
	t.Parallel()
	address, n := embedtest.Start(t), 0
	rapid.Check(t, func(t *rapid.T) {
		if n++; n > 40 { // each takes dozens of runs of the program
			return
		}
		s, err := store.Open(store.Config{Address: address})
		if err != nil {
			t.Fatal(err)
		}
		root := fmt.Sprintf("join-%d", n)
		tree, err := intent.ParseRoot(root)
		if err != nil {
			t.Fatal(err)
		}
		f := &joinFixture{t: t, addr: address, trunk: treeSide{root + "/", history.Open(s, tree), merge.Tree{}}}
		for range 3 {
			f.edit(&f.trunk)
		}
		if code, said := f.run(f.trunk.root, "fork", "f"); code != 0 {
			if len(f.trunk.model) > 0 {
				t.Fatalf("fork: exit %d: %s", code, said)
			}
			return
		}
		branch := tree.Fork("f")
		f.branch = treeSide{branch.Root(), history.Open(s, branch), maps.Clone(f.trunk.model)}
		f.base = maps.Clone(f.trunk.model)
		for range rapid.IntRange(2, 8).Draw(t, "steps") {
			switch rapid.IntRange(0, 5).Draw(t, "step") {
			case 0, 1:
				f.edit(&f.trunk)
			case 2, 3:
				f.edit(&f.branch)
			case 4:
				f.join(&f.trunk, &f.branch)
			case 5:
				f.join(&f.branch, &f.trunk)
			}
		}
		f.join(&f.trunk, &f.branch)
	})
}
