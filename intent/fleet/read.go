package fleet

import (
	"fmt"
	"slices"
	"strings"

	"github.com/platypus-platform/platypus/intent"
)

// Prefixes are the prefixes that [Read] needs.
func Prefixes(tree intent.Tree) []intent.Prefix {
	return []intent.Prefix{tree.Regions(), tree.Machines(), tree.VMs(), tree.Nodes(), tree.Ledgers(), tree.PlacedVMs(), tree.PlacedNodes()}
}

// Read builds a fleet from the pairs below [Prefixes] and ignores others. Invalid values are included with a fault.
func Read(tree intent.Tree, pairs []intent.Pair) *Fleet {
	b := &builder{tree: tree, machines: map[Spot]*Machine{}, pinned: map[intent.Name]map[intent.Name]bool{},
		fleet: &Fleet{Regions: map[intent.Name]intent.Region{}, Placements: map[string]Placed{}, Apps: map[string]App{}}}
	for _, p := range pairs {
		b.add(p)
	}
	return b.finish()
}

// builder is a fleet under construction.
type builder struct {
	tree     intent.Tree
	fleet    *Fleet
	machines map[Spot]*Machine
	pinned   map[intent.Name]map[intent.Name]bool // by node and app
}

func (b *builder) add(p intent.Pair) {
	if len(p.Value) == 0 && strings.HasSuffix(p.Key, "/") {
		return // the empty directory key that the Consul UI creates
	}
	for _, part := range []struct {
		prefix intent.Prefix
		add    func(rest string, p intent.Pair) error
	}{
		{b.tree.Regions(), b.addRegion}, {b.tree.Machines(), b.addMachine}, {b.tree.VMs(), b.addVM}, {b.tree.Nodes(),
			b.addPinned},
		{b.tree.Ledgers(), b.addLedger}, {b.tree.PlacedVMs(), b.addPlacement}, {b.tree.PlacedNodes(), b.addApp},
	} {
		if rest, below := part.prefix.Below(p.Key); below {
			if err := part.add(rest, p); err != nil {
				b.fleet.Problems = append(b.fleet.Problems, intent.Problem{Key: p.Key, Text: err.Error()})
			}
			return
		}
	}
}

// decoded decodes a value, collects its problems, and returns the first error as text.
func decoded[T any](b *builder, p intent.Pair) (T, string) {
	noun, problems := intent.Decode[T](p.Key, p.Value)
	b.fleet.Problems = append(b.fleet.Problems, problems...)
	if err := problems.Err(); err != nil {
		return noun, err.Error()
	}
	return noun, ""
}

func (b *builder) addRegion(rest string, p intent.Pair) error {
	code, err := intent.ParseName(rest)
	if err != nil {
		return err
	}
	b.fleet.Regions[code], _ = decoded[intent.Region](b, p)
	return nil
}

// parseSpot parses <region>/<machine>.
func parseSpot(rest string) (Spot, error) {
	region, machine, _ := strings.Cut(rest, "/")
	code, err := intent.ParseName(region)
	if err != nil {
		return Spot{}, err
	}
	name, err := intent.ParseName(machine)
	return Spot{code, name}, err
}

func (b *builder) machineAt(s Spot) *Machine {
	if b.machines[s] == nil {
		b.machines[s] = &Machine{Spot: s}
	}
	return b.machines[s]
}

func (b *builder) addMachine(rest string, p intent.Pair) error {
	s, err := parseSpot(rest)
	if err != nil {
		return err
	}
	spec, fault := decoded[intent.Machine](b, p)
	b.machineAt(s).Declare(spec, p.ModifyIndex, fault)
	return nil
}

// Declare sets the machine's declaration.
func (m *Machine) Declare(spec intent.Machine, index uint64, fault string) {
	m.Spec, m.Index = spec, index
	if fault != "" {
		m.Fault = fault
	}
}

// Hold sets the machine's ledger.
func (m *Machine) Hold(ledger intent.Ledger, index uint64, fault string) {
	m.Ledger, m.LedgerIndex = ledger, index
	if fault != "" {
		m.Fault, m.Corrupt = fault, true
	}
}

func (b *builder) addLedger(rest string, p intent.Pair) error {
	s, err := parseSpot(rest)
	if err != nil {
		return err
	}
	ledger, fault := decoded[intent.Ledger](b, p)
	b.machineAt(s).Hold(ledger, p.ModifyIndex, fault)
	return nil
}

func (b *builder) addVM(rest string, p intent.Pair) error {
	name, err := intent.ParseVMName(rest)
	if err != nil {
		return err
	}
	spec, fault := decoded[intent.VM](b, p)
	b.fleet.VMs = append(b.fleet.VMs, VM{name, spec, p.ModifyIndex, fault})
	return nil
}

func (b *builder) addPinned(rest string, _ intent.Pair) error {
	node, app, _ := strings.Cut(rest, "/")
	if b.pinned[intent.Name(node)] == nil {
		b.pinned[intent.Name(node)] = map[intent.Name]bool{}
	}
	b.pinned[intent.Name(node)][intent.Name(app)] = true
	return nil
}

func (b *builder) addPlacement(rest string, p intent.Pair) error {
	i, err := intent.ParseInstance(rest)
	if err != nil {
		return err
	}
	placement, fault := decoded[intent.Placement](b, p)
	b.fleet.Placements[i.String()] = Placed{placement, p.ModifyIndex, fault}
	return nil
}

func (b *builder) addApp(rest string, p intent.Pair) error {
	node, app, _ := strings.Cut(rest, "/")
	assigned, _ := decoded[intent.Assignment](b, p)
	b.fleet.Apps[rest] = App{intent.Name(node), intent.Name(app), assigned.Cluster, p.ModifyIndex}
	return nil
}

func (b *builder) finish() *Fleet {
	f := b.fleet
	for _, m := range b.machines {
		m.Claimed = b.pinned[m.Name()]
		f.Machines = append(f.Machines, m)
	}
	Sort(f)
	for _, m := range f.Machines {
		if m.Fault != "" && m.Index > 0 && strings.HasPrefix(m.Fault, "node ") {
			f.Problems = append(f.Problems, intent.Problem{Key: b.tree.Machine(m.Region, m.Name()), Text: m.Fault})
		}
	}
	return f
}

// Sort sorts a fleet that was not built by [Read], and marks machines whose name is declared twice: a machine is a
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
