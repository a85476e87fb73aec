package intent

import "time"

// Machine is the capacity of one node: the value of machines/<region>/<machine>. Its name is that of the node. It never
// contains credentials.
type Machine struct {
	Cores      int             `json:"cores"`                // 1 to MaxCores; required
	Memory     Size            `json:"memory"`               // required
	Address    string          `json:"address,omitempty"`    // as in the inventory, for people
	Datacenter string          `json:"datacenter,omitempty"` // machines that fail together
	Labels     map[Name]string `json:"labels,omitempty"`     // matched by the constraints of vms
	Reserved   Share           `json:"reserved,omitzero"`    // kept for the machine itself, never allocated to a vm
	State      MachineState    `json:"state,omitempty"`      // ready when unset
	Drain      *Drain          `json:"drain,omitempty"`      // how a draining machine is emptied
}

// Share is a part of a machine.
type Share struct {
	Cores  int  `json:"cores,omitempty"`
	Memory Size `json:"memory,omitempty"`
}

// Plus returns the sum of both shares.
func (s Share) Plus(o Share) Share { return Share{s.Cores + o.Cores, s.Memory + o.Memory} }

// Minus returns s without o; it may be negative.
func (s Share) Minus(o Share) Share { return Share{s.Cores - o.Cores, s.Memory - o.Memory} }

// Whole is the total of the machine; [Machine.Usable] is what vms may use.
func (m Machine) Whole() Share { return Share{m.Cores, m.Memory} }

// Usable is what vms may use: the total without the reserved share.
func (m Machine) Usable() Share { return m.Whole().Minus(m.Reserved) }

// MachineState is what people decided about a machine.
type MachineState string

// The states. Whether a machine can be reached is observed, not declared.
const (
	MachineReady    MachineState = "ready"    // takes vms
	MachineCordoned MachineState = "cordoned" // keeps what it has and takes nothing new
	MachineDraining MachineState = "draining" // is being emptied
	MachineDead     MachineState = "dead"     // declared by a person: nothing runs there any more
)

// Is reports the state, with unset meaning ready.
func (m Machine) Is(state MachineState) bool {
	return m.State == state || m.State == "" && state == MachineReady
}

// Drain is how a machine is emptied.
type Drain struct {
	Parallel int       `json:"parallel,omitempty"` // vms moving at the same time; DefaultDrainParallel if 0
	Deadline time.Time `json:"deadline,omitzero"`  // when the rest is evicted, even without a new place; zero: never
}

// DefaultDrainParallel is the default number of vms that leave a draining machine at the same time.
const DefaultDrainParallel = 2

// MaxCores is the maximum number of cores.
const MaxCores = 1 << 16

func (m *Machine) check(p *parser, v *value, pointer string) {
	checkCapacity(p, v, pointer, m.Cores, m.Memory, "such as \"2TB\"")
	switch m.State {
	case "", MachineReady, MachineCordoned, MachineDraining, MachineDead:
	default:
		p.errorf(v.memberNamed("state"), pointer+"/state", "state %q is not ready, cordoned, draining or dead", truncate(string(m.State)))
	}
	reserved, at := v.memberNamed("reserved"), pointer+"/reserved"
	switch {
	case m.Reserved.Cores < 0:
		p.errorf(reserved, at, "reserved cores must not be negative")
	case m.Reserved.Cores > m.Cores:
		p.errorf(reserved, at, "%d cores are reserved, and the machine has %d", m.Reserved.Cores, m.Cores)
	case m.Reserved.Memory > m.Memory:
		p.errorf(reserved, at, "%s are reserved, and the machine has %s", m.Reserved.Memory, m.Memory)
	}
	if m.Drain != nil && (m.Drain.Parallel < 0 || m.Drain.Parallel > 1000) {
		p.errorf(v.memberNamed("drain"), pointer+"/drain", "parallel must be within 0 to 1000")
	}
	checkShortText(p, v, pointer, "address", m.Address)
	checkShortText(p, v, pointer, "datacenter", m.Datacenter)
	checkLabels(p, v, pointer, "labels", m.Labels)
}

// checkCapacity checks the size of a machine or a vm.
func checkCapacity(p *parser, v *value, pointer string, cores int, memory Size, example string) {
	switch c := v.memberNamed("cores"); {
	case c == nil || c.kind == 'n':
		p.errorf(v, pointer, "\"cores\" is missing: a whole number from 1")
	case cores < 1 || cores > MaxCores:
		p.errorf(c, pointer+"/cores", "cores must be within 1 to %d", MaxCores)
	}
	switch m := v.memberNamed("memory"); {
	case m == nil || m.kind == 'n':
		p.errorf(v, pointer, "\"memory\" is missing: a size %s", example)
	case memory < MB:
		p.errorf(m, pointer+"/memory", "memory of %s is too little: at least %s", memory, MB)
	}
}

func checkLabels(p *parser, v *value, pointer, member string, labels map[Name]string) {
	for name, text := range labels {
		if len(text) > maxText {
			p.errorf(v.memberNamed(member), pointer+"/"+member+"/"+string(name), "label of %d bytes is too long: at most %d are allowed", len(text), maxText)
		}
	}
}
