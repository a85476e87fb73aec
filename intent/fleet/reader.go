package fleet

import "github.com/platypus-platform/platypus/intent"

// Op is one operation of a transaction, named as in Consul.
type Op struct {
	Verb  string // cas, set, delete, delete-cas, check-index, check-not-exists
	Key   string
	Value []byte
	Index uint64
	Noun  any // decoded Value: an intent.Ledger, intent.Placement or intent.Assignment
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

// Look is the state that transactions are built from. For absent items, Machine returns nil and the others an index
// of 0.
type Look interface {
	Machine(Spot) *Machine
	Placement(instance string) Placed
	Wish(intent.Name) VM
}

// Look returns the fleet as a Look.
func (f *Fleet) Look() Look { return fleetReader{f} }

type fleetReader struct{ fleet *Fleet }

func (a fleetReader) Machine(s Spot) *Machine   { return a.fleet.Machine(s) }
func (a fleetReader) Placement(i string) Placed { return a.fleet.Placements[i] }
func (a fleetReader) Wish(name intent.Name) VM  { v, _ := a.fleet.VM(name); return v }
