package history_test

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"

	"github.com/platypus-platform/platypus/store/history"
)

// big is an intent of about n bytes that compresses badly: like real ones, it is full of names and digests.
func big(rng *rand.Rand, n int) string {
	var b strings.Builder
	b.WriteString(`{"versions":{"v1":"active"},"user_config":{`)
	for i := 0; i == 0 || b.Len() < n; i++ {
		if i > 0 {
			b.WriteByte(',')
		}
		fmt.Fprintf(&b, `"service-%03d":{"url":"https://%x.example.org/%x","weight":%d,"enabled":%v}`,
			i, rng.Uint32(), rng.Uint32(), rng.IntN(1000), rng.IntN(2) == 0)
	}
	b.WriteString("}}")
	return b.String()
}

// touched is a value with a few bytes changed, as by an edit.
func touched(rng *rand.Rand, value string) string {
	at := strings.Index(value[rng.IntN(len(value)/2):], `"weight":`) + len(`"weight":`)
	return value[:at] + fmt.Sprint(rng.IntN(9)+1) + value[at:]
}

// TestCommit_LargeValues_AreReadBack uses every encoding, across checkpoints, and reads each value back.
func TestCommit_LargeValues_AreReadBack(t *testing.T) {
	each(t, func(t *testing.T, w *world) {
		rng := rand.New(rand.NewPCG(1, 2))
		want := map[uint64]map[string]string{}
		live := map[string]string{}
		for i := range 230 {
			key := fmt.Sprintf("clusters/app%d/c/config", i%4)
			size := []int{300, 6000, 20_000, 60_000}[i%4]
			value := live[key]
			if value == "" || i%50 == 49 {
				value = big(rng, size)
			} else {
				value = touched(rng, value)
			}
			if i%7 == 3 && len(live) == 4 {
				w.plain(key, touched(rng, value)) // to be buried
			}
			c := w.commit("again", edit(key, value))
			live[key] = value
			want[c.Seq] = map[string]string{}
			for k, v := range live {
				want[c.Seq][k] = v
			}
		}
		w.same()
		cold := history.Open(w.store, w.tree)
		for seq, tree := range want {
			state, err := cold.At(t.Context(), seq)
			if err != nil || len(state.Faults) > 0 {
				t.Fatal(err, state)
			}
			for key, value := range tree {
				if got, _ := state.Get(key); string(got.Data) != value {
					t.Fatalf("%s@%d: %d bytes, want %d", key, seq, len(got.Data), len(value))
				}
			}
		}
		for _, c := range w.all(history.Query{}) {
			if c.Fault != nil {
				t.Fatal(c.Fault)
			}
			for _, x := range c.Changes {
				if tree := want[c.Seq]; tree != nil && !bytes.Equal(x.Value, []byte(tree[x.Key])) {
					t.Fatalf("entry %d, %s", c.Seq, x.Key)
				}
			}
		}
	})
}
