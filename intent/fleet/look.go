package fleet

import "github.com/platypus-platform/platypus/intent"

// Op is one operation of a transaction, named as Consul names it.
type Op struct {
	Verb  string // cas, set, delete, delete-cas, check-index, check-not-exists
	Key   string
	Value []byte
	Index uint64
	Noun  any // what Value holds: an intent.Ledger, intent.Placement or intent.Assignment
}

// The verbs of operations.
const (
	OpCAS            = "cas"
	OpSet            = "set"
	OpDelete         = "delete"
	OpDeleteCAS      = "delete-cas"
	OpCheckIndex     = "check-index"
	OpCheckNotExists = "check-not-exists"
)

// Look is what is known when a transaction is made. Machine returns nil, and the others an index of 0, for what does not
// exist.
type Look interface {
	Machine(Spot) *Machine
	Placement(instance string) Placed
	Wish(intent.Name) VM
}

// Look is the fleet as it was read.
func (f *Fleet) Look() Look { return asRead{f} }

type asRead struct{ fleet *Fleet }

func (a asRead) Machine(s Spot) *Machine   { return a.fleet.Machine(s) }
func (a asRead) Placement(i string) Placed { return a.fleet.Placements[i] }
func (a asRead) Wish(name intent.Name) VM  { v, _ := a.fleet.VM(name); return v }
