package agent

import (
	"bytes"
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/platypus-platform/platypus/intent"
	"github.com/platypus-platform/platypus/store"
	"github.com/platypus-platform/platypus/store/embedtest"
)

// TestConfirmed_KeyThatMayNotBeDeleted_CountsOnce: an agent's token may not delete the key, so that it was used is
// remembered, also by the next process.
func TestConfirmed_KeyThatMayNotBeDeleted_CountsOnce(t *testing.T) {
	address := embedtest.Start(t)
	person, err := store.Open(store.Config{Address: address})
	if err != nil {
		t.Fatal(err)
	}
	s, err := store.Open(store.Config{Address: address, Dry: true})
	if err != nil {
		t.Fatal(err)
	}
	log, _ := newLog(&bytes.Buffer{}, "info", "text")
	tree, _ := intent.ParseRoot(intent.DefaultRoot)
	dir, both := t.TempDir(), []string{"a", "b"}
	start := func() *Agent {
		a := &Agent{Name: "toy", Node: "web1", Tree: tree, Store: s, StateDir: dir, Log: log}
		a.Removals()
		return a
	}
	confirm := func(ago time.Duration) { // the store takes the same value for the same write
		value := fmt.Sprintf(`{"removes":["a","b"],"at":%q}`, time.Now().Add(-ago).Format(time.RFC3339))
		if err := person.Put(t.Context(), tree.Confirm("web1", "toy"), []byte(value)); err != nil {
			t.Fatal(err)
		}
	}
	check := func(a *Agent, when string, want bool) {
		t.Helper()
		if ok, err := a.Confirmed(t.Context(), both); ok != want || err != nil {
			t.Errorf("%s: confirmed %v, %v", when, ok, err)
		}
	}
	a := start()
	a.removals.Hold(both)
	confirm(time.Minute)
	check(a, "given", true)
	a = start()
	a.removals.Held(t.Context(), []string{"b"}, nil)
	check(a, "half done, after a restart", true)
	a.removals.Held(t.Context(), nil, nil)
	check(a, "done", false)
	check(start(), "done, after a restart", false)

	a = start()
	a.removals.Hold(both)
	confirm(0)
	check(a, "given again", true)
	if held := a.removals.Held(t.Context(), both, []string{"a"}); !slices.Equal(held, []string{"b"}) {
		t.Errorf("held %v", held)
	}
	check(start(), "one is declared again", false)
	if held := start().removals.Held(t.Context(), both, []string{"a"}); !slices.Equal(held, []string{"b"}) {
		t.Errorf("held after a restart: %v", held)
	}
}
