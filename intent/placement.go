package intent

// Placement is where one instance of a vm is, or why it is nowhere: the value of placement/vms/<vm>.<number>.
type Placement struct {
	State   PlacementState `json:"state"`
	Region  Name           `json:"region,omitempty"`
	Machine Name           `json:"machine,omitempty"`
	Reason  string         `json:"reason,omitempty"`  // in words
	Refused map[string]int `json:"refused,omitempty"` // pending: machines by the class of reason that kept it out
	Attempt int            `json:"attempt"`           // how often it was given a machine
}

// PlacementState is how an instance stands.
type PlacementState string

// The states.
const (
	Placed  PlacementState = "placed"
	Pending PlacementState = "pending" // no machine takes it now
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
