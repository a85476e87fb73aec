package fleet

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	"github.com/platypus-platform/platypus/intent"
)

// Fleet puts everything that was taken together.
func (r *Reader) Fleet() *Fleet {
	f := &Fleet{Index: r.index(), Machines: map[intent.Name]*Machine{}}
	b := &builder{reader: r, fleet: f, regions: map[string]*Region{}, waits: map[string]int{}}
	b.inventory()
	b.ledgers()
	b.agents()
	b.vms()
	b.sums()
	b.apps()
	f.Changes = r.changes()
	b.faults()
	return f
}

// builder is a fleet in the making.
type builder struct {
	reader  *Reader
	fleet   *Fleet
	regions map[string]*Region
	waits   map[string]int // where in the fleet's list those that wait for the same are
}

func (b *builder) region(code string) *Region {
	if b.regions[code] == nil {
		b.regions[code] = &Region{Code: code}
	}
	return b.regions[code]
}

// machine returns the machine of that name. One that nobody declared begins in the region given.
func (b *builder) machine(name intent.Name, region, standing string) *Machine {
	m := b.fleet.Machines[name]
	if m == nil {
		m = &Machine{Name: name, Region: region, Standing: standing}
		b.fleet.Machines[name] = m
		at := b.region(region)
		at.Machines = append(at.Machines, m)
	}
	return m
}

func (b *builder) inventory() {
	b.reader.each(b.reader.tree.Regions(), 1, func(names []intent.Name, v value) {
		at := b.region(string(names[0]))
		at.Declared = true
		if noun, ok := v.noun.(intent.Region); ok {
			at.Location, at.Status = noun.Location, noun.Status
		}
	})
	b.reader.each(b.reader.tree.Machines(), 2, func(names []intent.Name, v value) {
		m := b.machine(names[1], string(names[0]), "ready")
		if m.Region != string(names[0]) {
			m.Fault = "it is declared in " + m.Region + " and in " + string(names[0])
			return
		}
		noun, ok := v.noun.(intent.Machine)
		if !ok {
			m.Standing, m.Fault = "unreadable", Clip(v.fault)
			return
		}
		m.Noun, m.Standing = noun, stateOf(noun)
		m.Cores = Gauge{Total: int64(noun.Cores), Reserved: int64(noun.Reserved.Cores)}
		m.Memory = Gauge{Total: int64(noun.Memory), Reserved: int64(noun.Reserved.Memory)}
	})
}

func (b *builder) ledgers() {
	b.reader.each(b.reader.tree.Ledgers(), 2, func(names []intent.Name, v value) {
		noun, ok := v.noun.(intent.Ledger)
		if ok && len(noun.Entries) == 0 && b.fleet.Machines[names[1]] == nil {
			return
		}
		m := b.machine(names[1], string(names[0]), "gone")
		if !ok {
			m.Standing, m.Fault = "unreadable", Clip(v.fault)
			return
		}
		m.Entries = noun.Entries
		taken := noun.Taken()
		m.Cores.Taken, m.Memory.Taken = int64(taken.Cores), int64(taken.Memory)
	})
}

// agents hangs reports and signs of life onto machines. A node that reports and is in no inventory is shown too.
func (b *builder) agents() {
	for node, n := range b.reader.agents() {
		m := b.machine(node, "", "node")
		m.Agents = n.agents
		if !n.alive && (m.Standing == "ready" || m.Standing == "node") {
			m.Standing = "silent"
		}
	}
}

func (b *builder) vms() {
	vms := map[intent.Name]intent.VM{}
	b.reader.each(b.reader.tree.VMs(), 1, func(names []intent.Name, v value) {
		if vm, ok := v.noun.(intent.VM); ok {
			vms[names[0]] = vm
			b.fleet.VMs.Declared += vm.Count
		}
	})
	answered := map[intent.Name]int{}
	b.reader.each(b.reader.tree.PlacedVMs(), 1, func(names []intent.Name, v value) {
		if i, err := intent.ParseInstance(string(names[0])); err == nil {
			answered[i.VM]++
		}
		p, ok := v.noun.(intent.Placement)
		if !ok {
			return
		}
		if p.State != intent.Pending {
			b.fleet.VMs.Placed++
			return
		}
		b.fleet.VMs.Pending++
		b.wait(names[0], p, vms)
	})
	for _, m := range b.fleet.Machines {
		b.fleet.VMs.Heard = b.fleet.VMs.Heard || slices.ContainsFunc(m.Agents, func(a Agent) bool { return a.Alive && a.Name == "allocator" })
	}
	for name, vm := range vms {
		if n := vm.Count - answered[name]; n > 0 {
			b.fleet.VMs.Unanswered += n
			b.fleet.Pending = append(b.fleet.Pending, b.unanswered(name, vm, n))
		}
	}
	for _, p := range b.fleet.Pending {
		slices.SortFunc(p.Instances, func(x, y string) int { return cmp.Or(cmp.Compare(len(x), len(y)), cmp.Compare(x, y)) })
	}
	slices.SortFunc(b.fleet.Pending, func(x, y Pending) int {
		return cmp.Or(cmp.Compare(bit(x.Unanswered == 0), bit(y.Unanswered == 0)), cmp.Compare(x.VM, y.VM), slices.Compare(x.Instances, y.Instances))
	})
}

// unanswered are the instances of a vm of which no allocator has said anything.
func (b *builder) unanswered(name intent.Name, vm intent.VM, n int) Pending {
	p := Pending{VM: string(name), Unanswered: n, Reason: "no allocator has answered, and none is alive: start one"}
	if b.fleet.VMs.Heard {
		p.Reason = "the allocator has not answered yet"
	}
	vm.Count = 1
	p.Wants = strings.TrimPrefix(wants(vm), "1 × ")
	return p
}

// wait adds an instance to those of its vm that wait for the same reason.
func (b *builder) wait(instance intent.Name, p intent.Placement, vms map[intent.Name]intent.VM) {
	pending := Pending{VM: string(instance), Reason: Clip(p.Reason), Refused: counts(p.Refused), Instances: []string{string(instance)}}
	if i, err := intent.ParseInstance(pending.VM); err == nil {
		pending.VM = string(i.VM)
		if vm, known := vms[i.VM]; known {
			vm.Count = 1
			pending.Wants = strings.TrimPrefix(wants(vm), "1 × ")
		}
	}
	key := fmt.Sprintf("%s\x00%s\x00%v", pending.VM, pending.Reason, pending.Refused)
	i, known := b.waits[key]
	if !known {
		b.waits[key] = len(b.fleet.Pending)
		b.fleet.Pending = append(b.fleet.Pending, pending)
		return
	}
	b.fleet.Pending[i].Instances = append(b.fleet.Pending[i].Instances, string(instance))
}

// counts are most first.
func counts(of map[string]int) []Count {
	list := make([]Count, 0, len(of))
	for what, n := range of {
		list = append(list, Count{Clip(what), n})
	}
	slices.SortFunc(list, mostFirst)
	return list
}

func mostFirst(x, y Count) int { return cmp.Or(cmp.Compare(y.N, x.N), cmp.Compare(x.What, y.What)) }

// sums adds machines up and puts regions into their order. The nodes of no inventory come last.
func (b *builder) sums() {
	for _, r := range b.regions {
		slices.SortFunc(r.Machines, func(x, y *Machine) int { return cmp.Compare(x.Name, y.Name) })
		for _, m := range r.Machines {
			r.Cores.add(m.Cores)
			r.Memory.add(m.Memory)
			r.VMs += len(m.Entries)
			if m.Standing != "ready" && m.Standing != "node" || m.Over() {
				r.Odd++
			}
		}
		b.fleet.Regions = append(b.fleet.Regions, r)
	}
	slices.SortFunc(b.fleet.Regions, func(x, y *Region) int {
		return cmp.Or(cmp.Compare(bit(x.Code == ""), bit(y.Code == "")),
			cmp.Compare(len(y.Machines), len(x.Machines)), cmp.Compare(x.Code, y.Code))
	})
}

func bit(b bool) int {
	if b {
		return 1
	}
	return 0
}

// faults lists the values that cannot be used.
func (b *builder) faults() {
	for prefix, part := range b.reader.parts {
		for key, v := range part.values {
			if v.fault != "" {
				b.fleet.Faults = append(b.fleet.Faults, Fault{Clip(string(prefix) + key), Clip(strings.TrimSpace(strings.TrimPrefix(v.fault, string(prefix)+key+":")))})
			}
		}
	}
	b.fleet.Unread = len(b.fleet.Faults)
	slices.SortFunc(b.fleet.Faults, func(x, y Fault) int { return cmp.Compare(x.Key, y.Key) })
	b.fleet.Faults = b.fleet.Faults[:min(len(b.fleet.Faults), maxFaults)]
}
