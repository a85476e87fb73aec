// Package fleet is what the dashboard shows: all regions, machines, vms, apps and seeds as the store tells of them at one
// moment, put together out of values that may each be missing, damaged or hostile. It reads pairs and touches nothing.
package fleet

import (
	"slices"
	"strings"
	"time"
	"unicode"

	"github.com/platypus-platform/platypus/intent"
)

// Fleet is one moment. Nobody changes it once it is made, so that many may look at it at once.
type Fleet struct {
	Index    uint64    // of the store
	Regions  []*Region // most machines first, then by code
	Machines map[intent.Name]*Machine
	VMs      VMs
	Pending  []Pending // by instance
	Runs
	Changes []Change // newest first, at most maxChanges
	Faults  []Fault  // values that cannot be used, by key, at most maxFaults
	Unread  int      // how many such values there are in all
}

// Runs are what runs on nodes, each by name.
type Runs struct {
	Apps, Seeds []Workload
	Agents      []Workload // agents with which something is wrong that belongs to no app and no seed
}

// Bare reports whether there is no inventory: no region, no machine and no vm, but nodes on which agents run.
func (f *Fleet) Bare() bool {
	return len(f.Machines) > 0 && len(f.Regions) == 1 && f.Regions[0].Code == "" && f.VMs.Declared+f.VMs.Placed+f.VMs.Pending == 0
}

// Region is one region with its machines. The region without a code holds the nodes that report and are in no inventory.
type Region struct {
	Code     string
	Location string
	Status   string
	Declared bool
	Machines []*Machine // by name
	Cores    Gauge
	Memory   Gauge // bytes
	VMs      int
	Odd      int // machines whose standing is not ready
}

// Gauge is how much of something there is, and what it is for. Taken may exceed what there is.
type Gauge struct{ Total, Reserved, Taken int64 }

// Free is what may still be given away, 0 when nothing is left.
func (g Gauge) Free() int64 { return max(0, g.Total-g.Reserved-g.Taken) }

// Over is how much more is given away than there is.
func (g Gauge) Over() int64 { return max(0, g.Reserved+g.Taken-g.Total) }

// Share is n as a percentage of the whole, within 0 to 100.
func (g Gauge) Share(n int64) float64 {
	if g.Total <= 0 {
		if n > 0 {
			return 100
		}
		return 0
	}
	return min(100, max(0, 100*float64(n)/float64(g.Total)))
}

// Fill says in five steps how full it is: 0 empty, 4 full or more than full.
func (g Gauge) Fill() int {
	usable := g.Total - g.Reserved
	switch {
	case g.Taken <= 0:
		return 0
	case g.Taken >= usable:
		return 4
	}
	return 1 + int(3*g.Taken/usable)
}

func (g *Gauge) add(o Gauge) {
	g.Total, g.Reserved, g.Taken = g.Total+o.Total, g.Reserved+o.Reserved, g.Taken+o.Taken
}

// Machine is one machine of the inventory, or a node that is in none.
type Machine struct {
	Name     intent.Name
	Region   string
	Noun     intent.Machine
	Standing string // one word: ready, cordoned, draining, dead, silent, gone, unreadable, node
	Fault    string // what cannot be read of it
	Cores    Gauge
	Memory   Gauge
	Entries  []intent.Entry // by instance
	Agents   []Agent        // by name
}

// Over reports whether more is given away than there is.
func (m *Machine) Over() bool { return m.Cores.Over() > 0 || m.Memory.Over() > 0 }

// Held reports whether an agent on it holds removals back until a person confirms them.
func (m *Machine) Held() bool {
	return slices.ContainsFunc(m.Agents, func(a Agent) bool { return a.Report.Held != nil })
}

// Fill is that of the dimension that is fuller.
func (m *Machine) Fill() int { return max(m.Cores.Fill(), m.Memory.Fill()) }

// Agent is one agent on a node.
type Agent struct {
	Name     string
	Alive    bool
	Reported bool
	Report   intent.Report
}

// VMs counts instances. Those that are unanswered are declared, and no allocator has said anything of them; Heard says
// whether one is alive.
type VMs struct {
	Declared, Placed, Pending, Unanswered int
	Heard                                 bool
}

// Pending are the instances of one vm that have no machine, all for the same reason.
type Pending struct {
	VM        string
	Instances []string // in the order of their numbers
	Reason    string
	Refused   []Count // machines by what keeps each of them out, most first
	Wants     string  // the size of one and where it may be, "" when its intent cannot be read

	Unanswered int // instead of Instances: how many no allocator has said anything of
}

// Count is how often something is the case.
type Count struct {
	What string
	N    int
}

// Workload is an app or a seed on all nodes.
type Workload struct {
	Name     string
	Nodes    int
	Wrong    int      // nodes on which it is neither well nor on the way
	Phases   []Count  // nodes by their worst phase, converged first
	Versions []Count  // of an app: nodes by the version that is live, most first
	Open     []OnNode // where it is not converged, worst first, at most maxOpen
	Well     []OnNode // where it is, by node, at most maxWell
	More     int      // how many more there are of these
	Why      string   // of what is on no node
	without  string   // the node that says why
}

// OnNode is how one app or seed stands on one node.
type OnNode struct {
	Node   string
	Agent  string // who says so
	Phase  string
	Has    string // the version of an app that is live, "" when nobody says
	Reason string
}

// Change is something that happened.
type Change struct {
	At      time.Time
	Kind    string // region, machine, vm, app, seed, agent
	Subject string
	Text    string
	Phase   string // colours it, "" for none
	Machine string // where, when it is one machine
	Nodes   int    // on how many, when agents say so
}

// Fault is a value that cannot be used.
type Fault struct{ Key, Text string }

// Bounds of what is kept for one page, so that no store can make it endless.
const (
	maxChanges = 40
	maxFaults  = 20
	maxOpen    = 12
	maxWell    = 12
	maxText    = 300 // bytes of a reason
)

// Clip shortens a text of the store to what a page can bear. Characters that would turn, hide or break the text around
// them become a mark that can be seen.
func Clip(text string) string {
	long := len(text) > maxText
	for at := range text {
		if at > maxText {
			text = text[:at]
			break
		}
	}
	if text = strings.Map(visible, text); long {
		text += "…"
	}
	return text
}

// visible replaces controls, turns of direction and spaces of no width.
func visible(r rune) rune {
	if r == '\n' || r == '\t' || !unicode.In(r, unicode.Cc, unicode.Bidi_Control) && r != '\u200b' && r != '\ufeff' {
		return r
	}
	return unicode.ReplacementChar
}
