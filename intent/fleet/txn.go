package fleet

import (
	"errors"
	"slices"

	"github.com/platypus-platform/platypus/intent"
)

// ErrStale says that a step no longer suits what is known: it is to be planned anew.
var ErrStale = errors.New("the state has moved on")

// Draft is a transaction in the making: some steps, all of them or none. Ledgers are written whole and against the index
// at which they were read, each machine that takes something must be declared as it was when it was found to fit, and
// each wish must stand as it stood. So a stale reading costs a retry and never a double booking.
type Draft struct {
	tree    intent.Tree
	look    Look
	checks  map[string]Op
	ledgers map[Spot]*Host
	writes  map[string]Op
	bytes   int // of writes, at most
}

// NewDraft returns an empty transaction.
func NewDraft(tree intent.Tree, look Look) *Draft {
	return &Draft{tree: tree, look: look, checks: map[string]Op{}, ledgers: map[Spot]*Host{}, writes: map[string]Op{}}
}

// Add puts a step into the transaction, or says why it no longer can be; the transaction is then as it was before.
func (d *Draft) Add(s Step) error {
	a := addition{Draft: d}
	if err := a.add(s); err != nil {
		return err
	}
	for _, op := range a.newChecks {
		d.checks[op.Key] = op
	}
	for _, op := range a.newWrites {
		d.writes[op.Key] = op
		d.bytes += len(op.Key) + len(op.Value)
	}
	for _, h := range a.hosts {
		d.ledgers[h.Spot] = h
	}
	return nil
}

// Ops returns the operations, checks first, in the order of their keys.
func (d *Draft) Ops() ([]Op, error) {
	for spot, h := range d.ledgers {
		entries := h.Lodged
		if entries == nil {
			entries = []intent.Entry{}
		}
		ledger := intent.Ledger{Entries: entries}
		value, err := encodeLedger(ledger)
		if err != nil {
			return nil, err
		}
		key := d.tree.Ledger(spot.Region, spot.Machine)
		delete(d.checks, key)
		d.writes[key] = Op{Verb: OpCAS, Key: key, Value: value, Index: h.LedgerIndex, Noun: ledger}
	}
	return slices.Concat(sorted(d.checks), sorted(d.writes)), nil
}

// Size is how many operations there are, and how many bytes they write at most.
func (d *Draft) Size() (ops, bytes int) {
	bytes = d.bytes
	for _, h := range d.ledgers {
		bytes += 256 + 256*len(h.Lodged)
	}
	return len(d.checks) + len(d.writes) + len(d.ledgers), bytes
}

func sorted(ops map[string]Op) []Op {
	keys := make([]string, 0, len(ops))
	for key := range ops {
		keys = append(keys, key)
	}
	slices.Sort(keys)
	out := make([]Op, 0, len(ops))
	for _, key := range keys {
		out = append(out, ops[key])
	}
	return out
}
