package store_test

import (
	"strings"
	"testing"

	"github.com/platypus-platform/platypus/intent"
	"github.com/platypus-platform/platypus/store"
)

// TestSetBack distinguishes a restored store from one with ordinary writes and deletes.
func TestSetBack(t *testing.T) {
	const nodes, cluster = "i/nodes/h1/", "i/clusters/web/p/"
	pair := func(key string, index uint64) intent.Pair { return intent.Pair{Key: key, ModifyIndex: index} }
	before := store.Snapshot{Pairs: []intent.Pair{pair(nodes+"web", 50), pair(nodes+"second", 120), pair(cluster+"config", 130)}}
	for _, c := range []struct {
		name   string
		pairs  []intent.Pair
		nodes  uint64 // index of the prefix
		recent bool
		back   string
	}{
		{"nothing happened", before.Pairs, 120, true, ""},
		{"deleted", []intent.Pair{pair(nodes+"web", 50), pair(cluster+"config", 130)}, 140, true, ""},
		{"deleted long ago, and the deletion forgotten", []intent.Pair{pair(nodes+"web", 50), pair(cluster+"config", 130)}, 50, false, ""},
		{"deleted and written again", []intent.Pair{pair(nodes+"web", 50), pair(nodes+"second", 150), pair(cluster+"config", 160)}, 150, true, ""},
		{"no longer followed", []intent.Pair{pair(nodes+"web", 50), pair(nodes+"second", 120)}, 120, true, ""},
		{"a key is gone without a trace", []intent.Pair{pair(nodes+"web", 50), pair(cluster+"config", 130)}, 50, true, "from index 120 to 50 at i/nodes/h1/second"},
		{"a key is older", []intent.Pair{pair(nodes+"web", 50), pair(nodes+"second", 120), pair(cluster+"config", 60)}, 120, false, "from index 130 to 60 at i/clusters/web/p/config"},
	} {
		now := store.Snapshot{Pairs: c.pairs, Indexes: map[intent.Prefix]uint64{nodes: c.nodes}}
		if why := now.SetBack(before, c.recent); (why == "") != (c.back == "") || !strings.Contains(why, c.back) {
			t.Errorf("%s: %q", c.name, why)
		}
	}
}
