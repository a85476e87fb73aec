package fleet

import (
	"fmt"
	"slices"
	"strings"

	"github.com/platypus-platform/platypus/intent"
)

// Prefixes are all that [Read] wants to see.
func Prefixes(tree intent.Tree) []intent.Prefix {
	return []intent.Prefix{tree.Regions(), tree.Machines(), tree.VMs(), tree.Nodes(), tree.Ledgers(), tree.PlacedVMs(), tree.PlacedNodes()}
}

// Read makes a fleet out of the pairs below [Prefixes]; others do no harm. Nothing is dropped: what cannot be used is
// there with a fault.
func Read(tree intent.Tree, pairs []intent.Pair) *Fleet {
	r := &reading{tree: tree, machines: map[Spot]*Machine{}, claims: map[intent.Name]map[intent.Name]bool{},
		fleet: &Fleet{Regions: map[intent.Name]intent.Region{}, Placements: map[string]Placed{}, Apps: map[string]App{}}}
	for _, p := range pairs {
		r.add(p)
	}
	return r.done()
}

// reading is a fleet under construction.
type reading struct {
	tree     intent.Tree
	fleet    *Fleet
	machines map[Spot]*Machine
	claims   map[intent.Name]map[intent.Name]bool // by node and app
}

func (r *reading) add(p intent.Pair) {
	if len(p.Value) == 0 && strings.HasSuffix(p.Key, "/") {
		return // the empty folder key that the Consul page makes
	}
	for _, part := range []struct {
		prefix intent.Prefix
		add    func(rest string, p intent.Pair) error
	}{
		{r.tree.Regions(), r.region}, {r.tree.Machines(), r.machine}, {r.tree.VMs(), r.vm}, {r.tree.Nodes(), r.claim},
		{r.tree.Ledgers(), r.ledger}, {r.tree.PlacedVMs(), r.placement}, {r.tree.PlacedNodes(), r.app},
	} {
		if rest, below := part.prefix.Below(p.Key); below {
			if err := part.add(rest, p); err != nil {
				r.fleet.Problems = append(r.fleet.Problems, intent.Problem{Key: p.Key, Text: err.Error()})
			}
			return
		}
	}
}

// decoded reads a value, notes what is wrong with it, and returns the first error as a text.
func decoded[T any](r *reading, p intent.Pair) (T, string) {
	noun, problems := intent.Decode[T](p.Key, p.Value)
	r.fleet.Problems = append(r.fleet.Problems, problems...)
	if err := problems.Err(); err != nil {
		return noun, err.Error()
	}
	return noun, ""
}

func (r *reading) region(rest string, p intent.Pair) error {
	code, err := intent.ParseName(rest)
	if err != nil {
		return err
	}
	r.fleet.Regions[code], _ = decoded[intent.Region](r, p)
	return nil
}

// spot reads <region>/<machine>.
func spot(rest string) (Spot, error) {
	region, machine, _ := strings.Cut(rest, "/")
	code, err := intent.ParseName(region)
	if err != nil {
		return Spot{}, err
	}
	name, err := intent.ParseName(machine)
	return Spot{code, name}, err
}

func (r *reading) at(s Spot) *Machine {
	if r.machines[s] == nil {
		r.machines[s] = &Machine{Spot: s}
	}
	return r.machines[s]
}

func (r *reading) machine(rest string, p intent.Pair) error {
	s, err := spot(rest)
	if err != nil {
		return err
	}
	spec, fault := decoded[intent.Machine](r, p)
	r.at(s).Declare(spec, p.ModifyIndex, fault)
	return nil
}

// Declare sets what is declared of the machine.
func (m *Machine) Declare(spec intent.Machine, index uint64, fault string) {
	m.Spec, m.Index = spec, index
	if fault != "" {
		m.Fault = fault
	}
}

// Hold sets what is held on the machine.
func (m *Machine) Hold(ledger intent.Ledger, index uint64, fault string) {
	m.Ledger, m.LedgerIndex = ledger, index
	if fault != "" {
		m.Fault, m.Corrupt = fault, true
	}
}

func (r *reading) ledger(rest string, p intent.Pair) error {
	s, err := spot(rest)
	if err != nil {
		return err
	}
	ledger, fault := decoded[intent.Ledger](r, p)
	r.at(s).Hold(ledger, p.ModifyIndex, fault)
	return nil
}

func (r *reading) vm(rest string, p intent.Pair) error {
	name, err := intent.ParseVMName(rest)
	if err != nil {
		return err
	}
	spec, fault := decoded[intent.VM](r, p)
	r.fleet.VMs = append(r.fleet.VMs, VM{name, spec, p.ModifyIndex, fault})
	return nil
}

func (r *reading) claim(rest string, _ intent.Pair) error {
	node, app, _ := strings.Cut(rest, "/")
	if r.claims[intent.Name(node)] == nil {
		r.claims[intent.Name(node)] = map[intent.Name]bool{}
	}
	r.claims[intent.Name(node)][intent.Name(app)] = true
	return nil
}

func (r *reading) placement(rest string, p intent.Pair) error {
	i, err := intent.ParseInstance(rest)
	if err != nil {
		return err
	}
	placement, fault := decoded[intent.Placement](r, p)
	r.fleet.Placements[i.String()] = Placed{placement, p.ModifyIndex, fault}
	return nil
}

func (r *reading) app(rest string, p intent.Pair) error {
	node, app, _ := strings.Cut(rest, "/")
	assigned, _ := decoded[intent.Assignment](r, p)
	r.fleet.Apps[rest] = App{intent.Name(node), intent.Name(app), assigned.Cluster, p.ModifyIndex}
	return nil
}

func (r *reading) done() *Fleet {
	f := r.fleet
	for _, m := range r.machines {
		m.Claimed = r.claims[m.Name()]
		f.Machines = append(f.Machines, m)
	}
	Sort(f)
	for _, m := range f.Machines {
		if m.Fault != "" && m.Index > 0 && strings.HasPrefix(m.Fault, "node ") {
			f.Problems = append(f.Problems, intent.Problem{Key: r.tree.Machine(m.Region, m.Name()), Text: m.Fault})
		}
	}
	return f
}

// Sort brings a fleet that was put together by hand into order, and finds machines that claim one name: a machine is a
// node, and a node is in one region.
func Sort(f *Fleet) {
	slices.SortFunc(f.Machines, func(a, b *Machine) int { return a.Spot.Compare(b.Spot) })
	slices.SortFunc(f.VMs, func(a, b VM) int { return strings.Compare(string(a.Name), string(b.Name)) })
	first := make(map[intent.Name]*Machine, len(f.Machines))
	for _, m := range f.Machines {
		if m.Index == 0 {
			continue
		}
		if other := first[m.Name()]; other != nil && m.Fault == "" {
			m.Fault = fmt.Sprintf("node %s is declared in %s too: a machine is in one region", m.Name(), other.Region)
		} else if other == nil {
			first[m.Name()] = m
		}
	}
}
