package fleet

import (
	"cmp"
	"encoding/json"
	"fmt"
	"slices"
	"strings"

	"github.com/platypus-platform/platypus/intent"
)

// Finding is one broken invariant.
type Finding struct {
	Rule    string `json:"rule"`    // the broken invariant
	Subject string `json:"subject"` // a machine, an instance or a key
	What    string `json:"what"`    // the inconsistency, as text
	Mend    string `json:"mend"`    // how to fix it
}

// Audit checks every invariant of the stored state and says how to fix what is broken. It uses the same [Host.Holds]
// as choosing and committing.
func Audit(tree intent.Tree, f *Fleet) []Finding {
	a := &audit{tree: tree, fleet: f, held: f.Entries()}
	a.values()
	for _, m := range f.Machines {
		a.machine(m)
	}
	a.instances()
	a.apps()
	slices.SortStableFunc(a.findings, func(x, y Finding) int {
		return cmp.Or(cmp.Compare(x.Rule, y.Rule), cmp.Compare(x.Subject, y.Subject))
	})
	return a.findings
}

type audit struct {
	tree     intent.Tree
	fleet    *Fleet
	held     map[string][]Held
	findings []Finding
}

func (a *audit) add(rule, subject, mend, format string, args ...any) {
	a.findings = append(a.findings, Finding{rule, subject, fmt.Sprintf(format, args...), mend})
}

// values reports values that cannot be read; unreadable ledgers are reported by machine.
func (a *audit) values() {
	for _, p := range a.fleet.Problems.Errors() {
		if _, ledger := a.tree.Ledgers().Below(p.Key); !ledger {
			a.add("value", p.Key, "declare it anew: platypus validate shows what is wrong", "%s", strings.TrimPrefix(p.Error(), p.Key+":"))
		}
	}
}

func (a *audit) machine(m *Machine) {
	if m.Corrupt {
		key := a.tree.Ledger(m.Region, m.Name())
		a.add("ledger", m.Spot.String(), fmt.Sprintf("what placements say is there: consul kv put %s '%s'", key,
			a.rebuiltLedger(m)), "%s", strings.TrimPrefix(m.Fault, key+":"))
		return
	}
	if m.Index == 0 && len(m.Ledger.Entries) > 0 {
		a.add("inventory", m.Spot.String(), "declare it again, or release what is there", "it is not declared and holds %d instances", len(m.Ledger.Entries))
	}
	if free := m.Free(); m.Index > 0 && m.Fault == "" && m.Overcommitted() {
		a.add("capacity", m.Spot.String(), "platypus rebalance, or give it back its size", "it holds %s of %s: %s too much", share(m.Ledger.Taken()),
			share(m.Spec.Usable()), share(intent.Share{Cores: max(0, -free.Cores), Memory: max(0, -free.Memory)}))
	}
	for _, e := range m.Ledger.Entries {
		a.entry(m, e)
	}
}

func share(s intent.Share) string { return fmt.Sprintf("%d cores and %s", s.Cores, s.Memory.Short()) }

// entry checks whether an entry could be placed where it is, if it were not there.
func (a *audit) entry(m *Machine, e intent.Entry) {
	v, declared := a.fleet.VM(VMOf(e.VM))
	if e.Phase != intent.PhasePlaced || !declared || v.Fault != "" || m.Index == 0 || m.Fault != "" {
		return
	}
	h := HostOf(m)
	h.setLedger(m.Ledger.Without(e.VM, e.Phase))
	want := WantOf(v)
	want.Share = e.Share()
	switch r := h.Holds(&want); r {
	case Fits, NoCores, NoMemory: // reported for the machine
	default:
		a.add("fit", e.VM, "an allocator moves it when there is room elsewhere: is one running?", "on %s: %s", m.Spot, h.Explain(&want, r))
	}
}

// rebuiltLedger derives a ledger from the placements and VM specs.
func (a *audit) rebuiltLedger(m *Machine) string {
	l := intent.Ledger{Entries: []intent.Entry{}}
	for name, p := range a.fleet.Placements {
		v, declared := a.fleet.VM(VMOf(name))
		if p.State == intent.Placed && p.Region == m.Region && p.Machine == m.Name() && declared && v.Fault == "" {
			l = l.With(intent.Entry{VM: name, Cores: v.Spec.Cores, Memory: v.Spec.Memory, Intent: v.Index, App: v.Spec.App, Cluster: v.Spec.Cluster})
		}
	}
	data, _ := json.Marshal(l)
	return string(data)
}

// instances compares VM specs, ledgers and placements with each other.
func (a *audit) instances() {
	const allocator = "an allocator does that: is one running?"
	wanted := map[string]bool{}
	for _, v := range a.fleet.VMs {
		for n := range v.Spec.Count {
			wanted[intent.Instance{VM: v.Name, Number: n}.String()] = true
		}
	}
	for name, entries := range a.held {
		v, declared := a.fleet.VM(VMOf(name))
		var at []string
		for _, e := range entries {
			if e.Phase == intent.PhasePlaced {
				at = append(at, e.Spot.String())
			}
		}
		record := a.fleet.Placements[name]
		switch {
		case len(at) == 0:
		case len(at) > 1:
			a.add("one place", name, "remove the entry from all ledgers but one", "it is held on %s", strings.Join(at, " and "))
		case !wanted[name] && (!declared || v.Fault == ""):
			a.add("wish", name, "to be released: "+allocator, "it is held on %s and nobody wants it", at[0])
		case record.State != intent.Placed || (Spot{record.Region, record.Machine}).String() != at[0]:
			a.add("placement", name, "to be written anew: "+allocator, "it is held on %s, and its placement says %q",
				at[0], cmp.Or(Spot{record.Region, record.Machine}.String(), string(record.State), "nothing"))
		}
	}
	for name, p := range a.fleet.Placements {
		s := Spot{p.Region, p.Machine}
		m := a.fleet.Machine(s)
		if p.State == intent.Placed && !(m != nil && m.Corrupt) && !slices.ContainsFunc(a.held[name], func(h Held) bool { return h.Phase == intent.PhasePlaced }) {
			a.add("placement", name, "to be placed anew: "+allocator, "it is said to be on %s, whose ledger does not hold it", s)
		}
	}
	for name := range wanted {
		if _, record := a.fleet.Placements[name]; !record && len(a.held[name]) == 0 {
			a.add("wish", name, "to be placed: "+allocator, "it has no place and no reason is told")
		}
	}
}

// apps compares the app assignments of nodes with the entries that need them.
func (a *audit) apps() {
	asked := map[string]bool{}
	for _, m := range a.fleet.Machines {
		count := map[intent.Name]int{}
		for _, e := range m.Ledger.Entries {
			if e.App == "" || e.Phase != intent.PhasePlaced {
				continue
			}
			key := string(m.Name()) + "/" + string(e.App)
			asked[key] = true
			if count[e.App]++; count[e.App] == 2 {
				a.add("one app", m.Spot.String(), "release one of them", "it holds two instances of %s", e.App)
			}
			if _, brought := a.fleet.Apps[key]; !brought {
				a.add("app", e.VM, "to be written anew by an allocator: is one running?", "%s is not brought to %s", e.App, m.Spot)
			}
		}
	}
	for key, app := range a.fleet.Apps {
		if m := a.fleet.Named(app.Node); !asked[key] && (m == nil || !m.Corrupt) {
			at := a.tree.Placement(app.Node, app.App)
			a.add("app", at, "consul kv delete "+at, "nothing that is placed on %s asks for %s", app.Node, app.App)
		}
	}
}
