package intent

// Placement is the machine of one vm instance, or the reason it has none: the value of placement/vms/<vm>.<number>.
type Placement struct {
	State   PlacementState `json:"state"`
	Region  Name           `json:"region,omitempty"`
	Machine Name           `json:"machine,omitempty"`
	Reason  string         `json:"reason,omitempty"`  // for people
	Refused map[string]int `json:"refused,omitempty"` // pending: number of machines by the class of the refusal
	Attempt int            `json:"attempt"`           // how often it was assigned to a machine
}

// PlacementState is the state of an instance.
type PlacementState string

// The states.
const (
	Placed  PlacementState = "placed"
	Pending PlacementState = "pending" // no machine has capacity for it now
)

func (m *Placement) check(p *parser, v *value, pointer string) {
	switch m.State {
	case Placed:
		if m.Region == "" || m.Machine == "" {
			p.errorf(v, pointer, "a placed instance needs \"region\" and \"machine\"")
		}
	case Pending:
	default:
		p.errorf(v, pointer, "state %q is not placed or pending", truncate(string(m.State)))
	}
}
