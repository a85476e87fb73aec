package fleet

import (
	"encoding/json"
	"testing"

	"pgregory.net/rapid"

	"github.com/platypus-platform/platypus/intent"
)

// TestEncodeLedger_AnyEntries_SameAsJSON compares byte by byte with encoding/json.
func TestEncodeLedger_AnyEntries_SameAsJSON(t *testing.T) {
	text := rapid.OneOf(rapid.SampledFrom([]string{"", "web.0", "a-b_c", "<&>", "\"", "\\", "\x00\xff", "é"}), rapid.String())
	name := rapid.Map(text, func(s string) intent.Name { return intent.Name(s) })
	entry := rapid.Custom(func(t *rapid.T) intent.Entry {
		return intent.Entry{VM: text.Draw(t, "vm"), Cores: rapid.Int().Draw(t, "cores"), Memory: intent.Size(rapid.Int64().Draw(t, "memory")),
			Intent: rapid.Uint64().Draw(t, "intent"), App: name.Draw(t, "app"), Cluster: name.Draw(t, "cluster"),
			Phase: rapid.SampledFrom([]intent.Phase{intent.PhasePlaced, intent.PhaseLeaving, intent.PhaseLost, "?\n"}).Draw(t, "phase")}
	})
	rapid.Check(t, func(t *rapid.T) {
		l := intent.Ledger{Entries: append([]intent.Entry{}, rapid.SliceOfN(entry, 0, 5).Draw(t, "entries")...)}
		want, err := json.Marshal(l)
		if err != nil {
			t.Fatal(err)
		}
		if got, err := encodeLedger(l); err != nil || string(got) != string(want) {
			t.Fatalf("%s, %v; want %s", got, err, want)
		}
	})
}

// TestEncodePlacement_AnyPlacement_SameAsJSON compares byte by byte with encoding/json.
func TestEncodePlacement_AnyPlacement_SameAsJSON(t *testing.T) {
	name := rapid.Map(rapid.OneOf(rapid.SampledFrom([]string{"", "SIN", "m-1.example", "<&>", "\""}), rapid.String()), func(s string) intent.Name { return intent.Name(s) })
	rapid.Check(t, func(t *rapid.T) {
		p := intent.Placement{State: rapid.SampledFrom([]intent.PlacementState{intent.Placed, intent.Pending, ""}).Draw(t, "state"),
			Region: name.Draw(t, "region"), Machine: name.Draw(t, "machine"), Reason: string(name.Draw(t, "reason")), Attempt: rapid.Int().Draw(t, "attempt"),
			Refused: rapid.SampledFrom([]map[string]int{nil, {}, {"cores": 2}}).Draw(t, "refused")}
		want, err := json.Marshal(p)
		if err != nil {
			t.Fatal(err)
		}
		if got, err := encodePlacement(p); err != nil || string(got) != string(want) {
			t.Fatalf("%s, %v; want %s", got, err, want)
		}
	})
}
