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
	vms     intent.Prefix // of tree, as is placed: each step needs a key of either
	placed  intent.Prefix
	checks  []Op // one for each key, as are writes
	writes  []Op
	ledgers []*Host // that change
	arrived Spot    // where the step before arrived
	bytes   int     // of writes, at most
}

// NewDraft returns an empty transaction.
func NewDraft(tree intent.Tree, look Look) *Draft {
	return &Draft{tree: tree, look: look, vms: tree.VMs(), placed: tree.PlacedVMs()}
}

// Add puts a step into the transaction, or says why it no longer can be; the transaction is then as it was before.
func (d *Draft) Add(s Step) error {
	checks, writes := len(d.checks), len(d.writes)
	a := addition{Draft: d, name: s.Instance.String(), lone: s.Verb == Place && s.From == Spot{}}
	if err := a.add(s); err != nil {
		d.checks, d.writes = d.checks[:checks], d.writes[:writes]
		return err
	}
	for _, op := range d.writes[writes:] {
		d.bytes += len(op.Key) + len(op.Value)
	}
	d.checks, d.writes = once(d.checks, checks), once(d.writes, writes)
	for _, h := range a.hosts {
		if at := d.ledger(h.Spot); at >= 0 {
			d.ledgers[at] = h
		} else {
			d.ledgers = append(d.ledgers, h)
		}
	}
	if a.to != nil {
		a.to.lodge(s.Entry)
		d.arrived = a.to.Spot
	}
	return nil
}

// once keeps the last operation of each key, those from n on being new.
func once(ops []Op, n int) []Op {
	for next := n; next < len(ops); next++ {
		at := 0
		for at < n && ops[at].Key != ops[next].Key {
			at++
		}
		ops[at] = ops[next]
		n = max(n, at+1)
	}
	return ops[:n]
}

// ledger is where a machine is among those whose ledgers change, or -1.
func (d *Draft) ledger(s Spot) int {
	return slices.IndexFunc(d.ledgers, func(h *Host) bool { return h.Spot == s })
}

// Ops returns the operations, checks first, in the order in which the steps asked for them.
func (d *Draft) Ops() ([]Op, error) {
	ops, writes := make([]Op, 0, len(d.checks)+len(d.ledgers)+len(d.writes)), []Op(nil)
	for _, h := range d.ledgers {
		ledger := intent.Ledger{Entries: h.Lodged}
		if ledger.Entries == nil {
			ledger.Entries = []intent.Entry{}
		}
		value, err := encodeLedger(ledger)
		if err != nil {
			return nil, err
		}
		writes = append(writes, Op{Verb: OpCAS, Key: d.tree.Ledger(h.Region, h.Spot.Machine), Value: value, Index: h.LedgerIndex, Noun: ledger})
	}
	for _, op := range d.checks {
		if !slices.ContainsFunc(writes, func(w Op) bool { return w.Key == op.Key }) {
			ops = append(ops, op)
		}
	}
	return append(append(ops, writes...), d.writes...), nil
}

// Size is how many operations there are, and how many bytes they write at most.
func (d *Draft) Size() (ops, bytes int) {
	bytes = d.bytes
	for _, h := range d.ledgers {
		bytes += 256 + 256*len(h.Lodged)
	}
	return len(d.checks) + len(d.writes) + len(d.ledgers), bytes
}
