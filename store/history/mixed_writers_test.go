package history_test

import (
	"errors"
	"fmt"
	"math"
	"math/rand/v2"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"github.com/platypus-platform/platypus/store"
	"github.com/platypus-platform/platypus/store/history"
)

// mix is any mix of writers on one tree.
type mix struct {
	w     *world
	logs  []*history.Log // of writers that stay, and so remember
	rng   *rand.Rand
	looks []history.Snapshot // taken and not yet handed to an observer
}

var mixedKeys = []string{"nodes/a/x", "nodes/a/y", "clusters/x/c/config", "clusters/y/c/config", "vms/one"}

func (m *mix) value(t *rapid.T, key string) string {
	live, _, err := m.w.store.Get(m.w.Context(), string(m.w.tree.Intent())+key, store.Consistent)
	if err != nil {
		t.Fatal(err)
	}
	switch rapid.IntRange(0, 5).Draw(t, "value") {
	case 0:
		return ""
	case 1:
		return big(m.rng, 9000)
	case 2:
		if strings.Contains(string(live.Value), `"weight":`) {
			return touched(m.rng, string(live.Value))
		}
	case 3:
		return "\xff\x00not JSON at all"
	}
	return fmt.Sprintf(`{"cluster":%q}`, fmt.Sprint(m.rng.Uint32()))
}

func (m *mix) actions() map[string]func(*rapid.T) {
	key := rapid.SampledFrom(mixedKeys)
	return map[string]func(*rapid.T){
		"commit": func(t *rapid.T) {
			var edits []history.Edit
			for _, k := range rapid.SliceOfNDistinct(key, 1, 4, rapid.ID).Draw(t, "keys") {
				e := history.Edit{Key: k, Delete: rapid.IntRange(0, 4).Draw(t, "delete") == 0}
				if !e.Delete {
					e.Value = []byte(m.value(t, k))
				}
				edits = append(edits, e)
			}
			log := m.logs[rapid.IntRange(0, len(m.logs)).Draw(t, "writer")%len(m.logs)]
			if rapid.Bool().Draw(t, "new writer") {
				log = history.Open(m.w.store, m.w.tree)
			}
			if _, err := log.Commit(m.w.Context(), history.Request{Edits: edits}); err != nil && !errors.Is(err, history.ErrUnchanged) {
				t.Fatal(err)
			}
		},
		"plain": func(t *rapid.T) {
			k := key.Draw(t, "key")
			m.w.plain(k, m.value(t, k))
		},
		"remove": func(t *rapid.T) { m.w.remove(key.Draw(t, "key")) },
		"recreate": func(t *rapid.T) {
			k := key.Draw(t, "key")
			m.w.remove(k)
			m.w.plain(k, m.value(t, k))
		},
		"look": func(t *rapid.T) {
			s, err := m.w.log.Survey(m.w.Context())
			if err != nil {
				t.Fatal(err)
			}
			m.looks = append(m.looks, s)
		},
		"observe": func(t *rapid.T) { // maybe what was seen long ago
			if len(m.looks) == 0 {
				t.Skip("nothing was looked at")
			}
			log := m.logs[rapid.IntRange(0, len(m.logs)-1).Draw(t, "observer")]
			if _, err := log.Observe(m.w.Context(), m.looks[0]); err != nil {
				t.Fatal(err)
			}
			m.looks = m.looks[1:]
		},
		"compact": func(t *rapid.T) {
			if _, err := m.w.log.Compact(m.w.Context(), history.Keep{Commits: rapid.IntRange(1, 10).Draw(t, "commits")}); err != nil {
				t.Fatal(err)
			}
		},
		"settle": func(t *rapid.T) { m.settle(t) },
	}
}

// settle observes, and compares the log with the tree.
func (m *mix) settle(t *rapid.T) {
	s, err := m.w.log.Survey(m.w.Context())
	if err != nil {
		t.Fatal(err)
	}
	if _, err := m.w.log.Observe(m.w.Context(), s); err != nil {
		t.Fatal(err)
	}
	m.w.same()
	faults, err := m.w.log.Verify(m.w.Context())
	if err != nil || len(faults) > 0 {
		t.Fatal(err, faults)
	}
}

// TestLog_MixedWriters_ReplayEqualsTree lets writers of all kinds take turns: after an observation the replayed log
// equals the tree, byte for byte.
func TestLog_MixedWriters_ReplayEqualsTree(t *testing.T) {
	each(t, func(t *testing.T, w *world) {
		left, failed := math.MaxInt, false
		if strings.HasSuffix(t.Name(), "consul") && !thorough() {
			left = 20 // for the time that it takes
		}
		rapid.Check(t, func(r *rapid.T) {
			if left--; left < 0 && !failed {
				return
			}
			defer func() { failed = failed || r.Failed() }()
			w.tree = anyTree(t)
			w.log = history.Open(w.store, w.tree)
			m := &mix{w: w, rng: rand.New(rand.NewPCG(rapid.Uint64().Draw(r, "seed"), 0)),
				logs: []*history.Log{w.log, history.Open(w.store, w.tree)}}
			r.Repeat(m.actions())
			m.settle(r)
		})
	})
}
