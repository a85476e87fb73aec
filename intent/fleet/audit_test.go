package fleet

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"github.com/platypus-platform/platypus/intent"
)

// consistentFleet is a small fleet without findings: web is placed on m1 with app slug, and big is pending.
func consistentFleet() map[string]string {
	return map[string]string{
		"intent/regions/SIN":        `{}`,
		"intent/machines/SIN/m1":    `{"cores":8,"memory":"64GB"}`,
		"intent/machines/SIN/m2":    `{"cores":8,"memory":"64GB"}`,
		"intent/vms/web":            `{"region":"SIN","cores":2,"memory":"8GB","app":"slug","cluster":"c"}`,
		"intent/vms/big":            `{"region":"SIN","cores":64,"memory":"8GB"}`,
		"ledger/SIN/m1":             `{"entries":[{"vm":"web.0","cores":2,"memory":"8GB","intent":1,"app":"slug","cluster":"c"}]}`,
		"placement/vms/web.0":       `{"state":"placed","region":"SIN","machine":"m1","attempt":1}`,
		"placement/vms/big.0":       `{"state":"pending","attempt":0}`,
		"placement/nodes/m1/slug":   `{"cluster":"c"}`,
		"intent/nodes/m2/something": `{"cluster":"c"}`,
	}
}

func readAll(values map[string]string) (intent.Tree, *Fleet) {
	tree, _ := intent.ParseRoot("platypus/")
	var pairs []intent.Pair
	for key, text := range values {
		pairs = append(pairs, intent.Pair{Key: "platypus/" + key, Value: []byte(text), ModifyIndex: 1})
	}
	return tree, Read(tree, pairs)
}

// TestAudit_EachInvariantBroken_Reported breaks one invariant at a time; each finding must name a fix.
func TestAudit_EachInvariantBroken_Reported(t *testing.T) {
	const entry = `{"vm":"web.0","cores":2,"memory":"8GB","intent":1,"app":"slug","cluster":"c"}`
	for name, test := range map[string]struct {
		key, text string // an empty text removes the key
		want      string // rule and subject
	}{
		"all is well":          {"intent/regions/NRT", `{}`, ""},
		"corrupt ledger":       {"ledger/SIN/m1", `{"entries":[`, "ledger SIN/m1"},
		"too much memory":      {"intent/machines/SIN/m1", `{"cores":8,"memory":"4GB"}`, "capacity SIN/m1"},
		"reserved":             {"intent/machines/SIN/m1", `{"cores":8,"memory":"64GB","reserved":{"cores":7}}`, "capacity SIN/m1"},
		"two places":           {"ledger/SIN/m2", `{"entries":[` + entry + `]}`, "one place web.0"},
		"machine undeclared":   {"intent/machines/SIN/m1", "", "inventory SIN/m1"},
		"nobody wants it":      {"intent/vms/web", "", "wish web.0"},
		"fewer are wanted":     {"intent/vms/web", `{"region":"SIN","cores":2,"memory":"8GB","count":0}`, "wish web.0"},
		"no placement":         {"placement/vms/web.0", "", "placement web.0"},
		"wrong placement":      {"placement/vms/web.0", `{"state":"placed","region":"SIN","machine":"m2","attempt":1}`, "placement web.0"},
		"placement of nothing": {"ledger/SIN/m1", `{"entries":[]}`, "placement web.0"},
		"no answer":            {"placement/vms/big.0", "", "wish big.0"},
		"app not brought":      {"placement/nodes/m1/slug", "", "app web.0"},
		"app of nothing":       {"placement/nodes/m2/other", `{"cluster":"c"}`, "app platypus/placement/nodes/m2/other"},
		"two of one app": {"ledger/SIN/m1", `{"entries":[` + entry + `,{"vm":"web.1","cores":2,"memory":"8GB","intent":1,"app":"slug","cluster":"c"}]}`,
			"one app SIN/m1"},
		"label gone":     {"intent/vms/web", `{"region":"SIN","cores":2,"memory":"8GB","app":"slug","cluster":"c","constraints":{"disk":"ssd"}}`, "fit web.0"},
		"machine twice":  {"intent/machines/NRT/m1", `{"cores":8,"memory":"64GB"}`, "inventory"},
		"invalid wish":   {"intent/vms/web", `{"region":"SIN"}`, "value platypus/intent/vms/web"},
		"invalid region": {"intent/regions/SIN", `{"policy":"x"}`, "value platypus/intent/regions/SIN"},
	} {
		t.Run(name, func(t *testing.T) {
			values := consistentFleet()
			if values[test.key] = test.text; test.text == "" {
				delete(values, test.key)
			}
			tree, f := readAll(values)
			var found []string
			for _, finding := range Audit(tree, f) {
				found = append(found, finding.Rule+" "+finding.Subject)
				if finding.What == "" || finding.Mend == "" {
					t.Errorf("%+v does not say what to do", finding)
				}
			}
			switch {
			case test.want == "" && len(found) > 0:
				t.Errorf("found %v", found)
			case name == "machine twice":
				if len(f.Problems) != 1 || !strings.Contains(f.Problems[0].Text, "is declared in NRT too") {
					t.Errorf("problems %v", f.Problems)
				}
			case test.want != "" && !slices.Contains(found, test.want):
				t.Errorf("found %v, want %s", found, test.want)
			}
		})
	}
}

// TestAudit_CorruptLedger_ProposesOriginal checks that the proposed replacement equals the original ledger.
func TestAudit_CorruptLedger_ProposesOriginal(t *testing.T) {
	values := consistentFleet()
	was := values["ledger/SIN/m1"]
	values["ledger/SIN/m1"] = `{"entries":7}`
	tree, f := readAll(values)
	for _, finding := range Audit(tree, f) {
		if finding.Rule == "ledger" && strings.HasSuffix(finding.Mend, "consul kv put platypus/ledger/SIN/m1 '"+was+"'") {
			return
		}
	}
	t.Errorf("%+v", Audit(tree, f))
}

// TestRebalance_Limit_NothingLostAndStable checks that there are at most as many moves as requested, none beyond
// capacity, that every instance keeps exactly one place, and that a second run does not undo the first.
func TestRebalance_Limit_NothingLostAndStable(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		f := &Fleet{Regions: map[intent.Name]intent.Region{"R": {Policy: rapid.SampledFrom([]intent.Policy{"", intent.PolicySpread}).Draw(t, "policy")}}, Placements: map[string]Placed{}}
		for n := range rapid.IntRange(2, 5).Draw(t, "machines") {
			m := machine("R", n, rapid.IntRange(2, 16).Draw(t, "cores"), 64*intent.GB)
			for k := range rapid.IntRange(0, 4).Draw(t, "vms") {
				name := fmt.Sprintf("vm%d-%d", n, k)
				v := vmOf(name, rapid.IntRange(1, 6).Draw(t, "takes"), intent.GB, "R")
				f.VMs = append(f.VMs, v)
				m.Ledger = m.Ledger.With(intent.Entry{VM: name + ".0", Cores: v.Spec.Cores, Memory: v.Spec.Memory})
			}
			f.Machines = append(f.Machines, m)
		}
		Sort(f)
		over := map[Spot]bool{}
		for _, m := range f.Machines {
			over[m.Spot] = m.Overcommitted()
		}
		most := rapid.IntRange(1, 4).Draw(t, "most")
		steps := Rebalance(f, most)
		if len(steps) > most {
			t.Fatalf("%d moves, at most %d", len(steps), most)
		}
		for _, s := range steps {
			from, to := f.Machine(s.From), f.Machine(s.To)
			e, there := from.Ledger.Entry(s.Entry.VM, intent.PhasePlaced)
			if !there || s.From == s.To {
				t.Fatalf("%v: it is not there", s)
			}
			from.Ledger, to.Ledger = from.Ledger.Without(e.VM, e.Phase), to.Ledger.With(e)
			if to.Overcommitted() {
				t.Fatalf("%v: %v is too small", s, to.Spot)
			}
		}
		if most == 4 && len(steps) < most {
			for _, again := range Rebalance(f, most) {
				for _, s := range steps {
					if again.Instance == s.Instance && again.To == s.From && !over[s.From] {
						t.Fatalf("%v undoes %v", again, s)
					}
				}
			}
		}
	})
}
