package intent

import (
	"fmt"
	"strconv"
	"strings"
)

// VM is one or more equal shares of machines: the value of vms/<name>.
type VM struct {
	Region      Regions         `json:"region"` // allowed regions, best first; required
	Cores       int             `json:"cores"`  // of each; required
	Memory      Size            `json:"memory"` // of each; required
	Count       int             `json:"count"`  // how many, 0 to MaxCount; 1 when absent
	App         Name            `json:"app,omitempty"`
	Cluster     Name            `json:"cluster,omitempty"` // of the app; given with it
	Spread      Spread          `json:"spread,omitempty"`
	Constraints map[Name]string `json:"constraints,omitempty"` // required labels of the machine
	OnHostLoss  OnHostLoss      `json:"on_host_loss,omitempty"`
}

// MaxCount is the maximum number of instances of one vm.
const MaxCount = 10_000

// Share is the share of one instance.
func (v VM) Share() Share { return Share{v.Cores, v.Memory} }

// Spread is how the instances of one vm are separated.
type Spread string

// The policies. Instances with an app never share a machine, whatever the policy.
const (
	SpreadNone       Spread = "none"       // as the region's policy decides; the same as unset
	SpreadMachine    Spread = "machine"    // no two on one machine
	SpreadDatacenter Spread = "datacenter" // no two on one machine, and evenly over datacenters
)

// OnHostLoss is what happens to an instance whose machine has been unreachable for long.
type OnHostLoss string

// The choices.
const (
	LossReplace OnHostLoss = "replace" // it is placed on another machine; the same as unset
	LossWait    OnHostLoss = "wait"    // it waits until the machine returns or a person declares it dead
)

// Instance is one instance of a vm, named <vm>.<number>.
type Instance struct {
	VM     Name
	Number int // from 0
}

// String returns the name in keys and tables.
func (i Instance) String() string { return string(i.VM) + "." + strconv.Itoa(i.Number) }

// ParseInstance parses the format of [Instance.String].
func ParseInstance(s string) (Instance, error) {
	at := strings.LastIndexByte(s, '.')
	if at < 0 {
		return Instance{}, fmt.Errorf("%q is not an instance of a vm such as web.0", truncate(s))
	}
	n, err := strconv.ParseUint(s[at+1:], 10, 31)
	if name, fault := ParseVMName(s[:at]); fault == nil && err == nil && strconv.FormatUint(n, 10) == s[at+1:] {
		return Instance{name, int(n)}, nil
	}
	return Instance{}, fmt.Errorf("%q is not an instance of a vm such as web.0", truncate(s))
}

// MaxVMName leaves room for the number of an instance in a name.
const MaxVMName = MaxName - 8

// ParseVMName reads the name of a vm: a [Name] to which a dot and a number can be added.
func ParseVMName(s string) (Name, error) {
	name, err := ParseName(s)
	switch {
	case err != nil:
		return "", err
	case len(s) > MaxVMName:
		return "", fmt.Errorf("name of %d bytes is too long for a vm: at most %d are allowed", len(s), MaxVMName)
	case strings.HasSuffix(s, "."):
		return "", fmt.Errorf("name %q of a vm must not end with a dot", s)
	}
	return name, nil
}

func (m *VM) check(p *parser, v *value, pointer string) {
	if r := v.memberNamed("region"); r == nil || r.kind == 'n' {
		p.errorf(v, pointer, "\"region\" is missing: a code such as \"SIN\", a list of them, or \"any\"")
	}
	checkCapacity(p, v, pointer, m.Cores, m.Memory, "such as \"8GB\"")
	switch c := v.memberNamed("count"); {
	case c == nil || c.kind == 'n':
		m.Count = 1
	case m.Count < 0 || m.Count > MaxCount:
		p.errorf(c, pointer+"/count", "count must be within 0 to %d", MaxCount)
	}
	switch {
	case m.App != "" && m.Cluster == "":
		p.errorf(v, pointer, "\"cluster\" is missing: which cluster of %s the vm belongs to", m.App)
	case m.App == "" && m.Cluster != "":
		p.errorf(v.memberNamed("cluster"), pointer+"/cluster", "\"cluster\" is of no use without \"app\"")
	}
	switch m.Spread {
	case "", SpreadNone, SpreadMachine, SpreadDatacenter:
	default:
		p.errorf(v.memberNamed("spread"), pointer+"/spread", "spread %q is not none, machine or datacenter", truncate(string(m.Spread)))
	}
	switch m.OnHostLoss {
	case "", LossReplace, LossWait:
	default:
		p.errorf(v.memberNamed("on_host_loss"), pointer+"/on_host_loss", "on_host_loss %q is not replace or wait", truncate(string(m.OnHostLoss)))
	}
	checkLabels(p, v, pointer, "constraints", m.Constraints)
}
