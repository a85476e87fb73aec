package fleet

import (
	"errors"
	"slices"

	"github.com/platypus-platform/platypus/intent"
)

// ErrStale reports that a step no longer matches the known state and must be planned again.
var ErrStale = errors.New("the state has moved on")

// Draft is a transaction of several steps, all or none. Ledgers are written whole with compare-and-set, and the
// transaction checks that the receiving machines' declarations and the VM specs are unchanged. So stale data costs a
// retry and never places an instance twice.
type Draft struct {
	tree       intent.Tree
	reader     Look
	vms        intent.Prefix // prefixes of tree, computed once
	placements intent.Prefix
	checks     []Op // one for each key, like writes
	writes     []Op
	ledgers    []*Host // changed ledgers
	lastTo     Spot    // destination of the previous step
	bytes      int     // upper bound for writes
}

// NewDraft returns an empty transaction.
func NewDraft(tree intent.Tree, reader Look) *Draft {
	return &Draft{tree: tree, reader: reader, vms: tree.VMs(), placements: tree.PlacedVMs()}
}

// Add adds a step, or returns why it is impossible and leaves the transaction unchanged.
func (d *Draft) Add(s Step) error {
	checks, writes := len(d.checks), len(d.writes)
	a := txnStep{Draft: d, name: s.Instance.String(), single: s.Verb == Place && s.From == Spot{}}
	if err := a.add(s); err != nil {
		d.checks, d.writes = d.checks[:checks], d.writes[:writes]
		return err
	}
	for _, op := range d.writes[writes:] {
		d.bytes += len(op.Key) + len(op.Value)
	}
	d.checks, d.writes = dedupe(d.checks, checks), dedupe(d.writes, writes)
	for _, h := range a.hosts {
		if at := d.ledgerIndex(h.Spot); at >= 0 {
			d.ledgers[at] = h
		} else {
			d.ledgers = append(d.ledgers, h)
		}
	}
	if a.to != nil {
		a.to.insertEntry(s.Entry)
		d.lastTo = a.to.Spot
	}
	return nil
}

// dedupe keeps the last operation of each key; those from n on are new.
func dedupe(ops []Op, n int) []Op {
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

// ledgerIndex returns the position of a machine's changed ledger, or -1.
func (d *Draft) ledgerIndex(s Spot) int {
	return slices.IndexFunc(d.ledgers, func(h *Host) bool { return h.Spot == s })
}

// Ops returns the operations: checks first, each group in the order of the steps.
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

// Size returns the number of operations and an upper bound for the bytes that they write.
func (d *Draft) Size() (ops, bytes int) {
	bytes = d.bytes
	for _, h := range d.ledgers {
		bytes += 256 + 256*len(h.Lodged)
	}
	return len(d.checks) + len(d.writes) + len(d.ledgers), bytes
}
