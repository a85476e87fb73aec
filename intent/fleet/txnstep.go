package fleet

import (
	"cmp"
	"encoding/json"
	"fmt"
	"slices"

	"github.com/platypus-platform/platypus/intent"
)

// txnStep adds one step to a transaction.
type txnStep struct {
	*Draft
	name   string  // of the instance
	single bool    // no entry leaves a machine: the draft's ledgers are used without a copy until all checks pass
	hosts  []*Host // changed ledgers: copies of the draft's
	to     *Host   // of these, the one that receives the entry once all checks pass
}

func (d *txnStep) check(op Op) { d.checks = append(d.checks, op) }
func (d *txnStep) write(op Op) { d.writes = append(d.writes, op) }

func (d *txnStep) add(s Step) error {
	placed := d.reader.Placement(d.name)
	if err := d.checkWish(s); err != nil {
		return err
	}
	if err := d.checkNotElsewhere(s, placed); err != nil {
		return err
	}
	if s.From != (Spot{}) {
		if err := d.removeEntry(s); err != nil {
			return err
		}
	}
	switch s.Verb {
	case Place, Move, Resize:
		if err := d.addEntry(s); err != nil {
			return err
		}
	case Mend:
		if err := d.repair(s); err != nil {
			return err
		}
	case Free:
		return nil // the placement record is about the current place, not the previous one
	}
	key := d.placements.Key(intent.Name(d.name))
	placement, wanted := s.placement()
	if !wanted {
		if placed.Index > 0 {
			d.write(Op{Verb: OpDeleteCAS, Key: key, Index: placed.Index})
		}
		return nil
	}
	value, err := encodePlacement(placement)
	d.write(Op{Verb: OpCAS, Key: key, Value: value, Index: placed.Index, Noun: placement})
	return err
}

// checkWish makes the transaction conditional on an unchanged VM spec.
func (d *txnStep) checkWish(s Step) error {
	key, index := d.vms.Key(s.Instance.VM), d.reader.Wish(s.Instance.VM).Index
	switch s.Verb {
	case Place, Move, Resize, Pend, Evict, Mend:
		if index == 0 {
			return fmt.Errorf("%s %s: %w: the vm is no longer wanted", s.Verb, s.Instance, ErrStale)
		}
		d.check(Op{Verb: OpCheckIndex, Key: key, Index: index})
	case Release, Forget:
		v := d.reader.Wish(s.Instance.VM)
		switch {
		case index == 0:
			d.check(Op{Verb: OpCheckNotExists, Key: key})
		case v.Fault != "" || s.Instance.Number < v.Spec.Count:
			return fmt.Errorf("%s %s: %w: it is wanted", s.Verb, s.Instance, ErrStale)
		default:
			d.check(Op{Verb: OpCheckIndex, Key: key, Index: index})
		}
	}
	return nil
}

// checkNotElsewhere verifies, before a placement record is rewritten, that the machine it names has no entry of the
// instance: ledgers and records are read at different times, so either may be older.
func (d *txnStep) checkNotElsewhere(s Step, placed Placed) error {
	recorded := Spot{placed.Region, placed.Machine}
	if s.Verb != Place && s.Verb != Pend && s.Verb != Forget || placed.State != intent.Placed || recorded == s.To {
		return nil
	}
	key := d.tree.Ledger(recorded.Region, recorded.Machine)
	m := d.reader.Machine(recorded)
	switch {
	case m == nil || m.LedgerIndex == 0:
		d.check(Op{Verb: OpCheckNotExists, Key: key})
		return nil
	case m.Corrupt:
		return fmt.Errorf("%s %s: %w: the ledger of %s cannot be used", s.Verb, s.Instance, ErrStale, recorded)
	}
	if _, there := m.Ledger.Entry(d.name, intent.PhasePlaced); there {
		return fmt.Errorf("%s %s: %w: it is on %s", s.Verb, s.Instance, ErrStale, recorded)
	}
	if d.ledgerIndex(recorded) < 0 {
		d.check(Op{Verb: OpCheckIndex, Key: key, Index: m.LedgerIndex})
	}
	return nil
}

// hostFor returns a machine whose ledger will change, with the steps so far.
func (d *txnStep) hostFor(s Spot) (*Host, error) {
	for _, h := range d.hosts {
		if h.Spot == s {
			return h, nil
		}
	}
	if at := d.ledgerIndex(s); at >= 0 {
		if d.single {
			return d.ledgers[at], nil
		}
		same := *d.ledgers[at]
		d.hosts = append(d.hosts, &same)
		return &same, nil
	}
	m := d.reader.Machine(s)
	switch {
	case m == nil:
		return nil, fmt.Errorf("%s: %w: there is no such machine", s, ErrStale)
	case m.Corrupt:
		return nil, fmt.Errorf("%s: %w: its ledger cannot be used", s, ErrStale)
	}
	h := HostOf(m)
	h.Lodged = slices.Clip(h.Lodged) // shared with the ledger: an append must copy
	d.hosts = append(d.hosts, h)
	return h, nil
}

func (h *Host) setLedger(l intent.Ledger) {
	h.Lodged, h.Left = l.Entries, h.Spec.Usable().Minus(l.Taken())
}

// removeEntry removes the entry from its machine, or marks it as leaving.
func (d *txnStep) removeEntry(s Step) error {
	h, err := d.hostFor(s.From)
	if err != nil {
		return err
	}
	phase := intent.PhasePlaced
	if s.Verb == Free {
		phase = s.Entry.Phase
	}
	ledger := intent.Ledger{Entries: h.Lodged}
	old, there := ledger.Entry(d.name, phase)
	if !there {
		return fmt.Errorf("%s %s: %w: %s does not hold it", s.Verb, s.Instance, ErrStale, s.From)
	}
	ledger = ledger.Without(old.VM, old.Phase)
	if s.Verb != Free && s.Leaves != intent.PhasePlaced {
		leaving := old
		leaving.Phase = s.Leaves
		ledger = ledger.With(leaving)
	}
	h.setLedger(ledger)
	if old.App != "" && phase == intent.PhasePlaced {
		key := d.tree.Placement(s.From.Machine, old.App)
		d.write(Op{Verb: OpDelete, Key: key})
	}
	return nil
}

// addEntry adds the entry to its new machine, if it fits.
func (d *txnStep) addEntry(s Step) error {
	h, err := d.hostFor(s.To)
	if err != nil {
		return err
	}
	ledger := intent.Ledger{Entries: h.Lodged}
	want := WantOf(d.reader.Wish(s.Instance.VM))
	want.Share, want.App = s.Entry.Share(), s.Entry.App
	without := *h
	_, there := ledger.Entry(s.Entry.VM, s.Entry.Phase)
	if there {
		without.setLedger(ledger.Without(s.Entry.VM, s.Entry.Phase))
	}
	reason := without.Holds(&want)
	if s.Verb != Resize && reason == Fits {
		reason = without.Shut()
	}
	if reason != Fits || there != (s.Verb == Resize) {
		return fmt.Errorf("%s %s on %s: %w: %s", s.Verb, s.Instance, s.To, ErrStale, h.Explain(&want, reason))
	}
	*h, d.to = without, h
	if d.lastTo != s.To {
		d.check(Op{Verb: OpCheckIndex, Key: d.tree.Machine(s.To.Region, s.To.Machine), Index: h.Index})
	}
	return d.assign(s)
}

// insertEntry inserts an entry in sorted order. It grows the slice by a quarter, because a transaction often adds
// several entries to one machine.
func (h *Host) insertEntry(e intent.Entry) {
	at, _ := slices.BinarySearchFunc(h.Lodged, e, func(a, b intent.Entry) int {
		return cmp.Or(cmp.Compare(a.VM, b.VM), cmp.Compare(a.Phase, b.Phase))
	})
	if len(h.Lodged) == cap(h.Lodged) {
		h.Lodged = append(make([]intent.Entry, 0, len(h.Lodged)+len(h.Lodged)/4+4), h.Lodged...)
	}
	h.Lodged, h.Left = slices.Insert(h.Lodged, at, e), h.Left.Minus(e.Share())
}

// assign assigns the app of an instance to its node, unless an operator did.
func (d *txnStep) assign(s Step) error {
	if s.Entry.App == "" {
		return nil
	}
	own := d.tree.Assignment(s.To.Machine, s.Entry.App)
	if s.Verb != Mend {
		d.check(Op{Verb: OpCheckNotExists, Key: own})
	}
	assigned := intent.Assignment{Cluster: s.Entry.Cluster}
	value, err := json.Marshal(assigned)
	key := d.tree.Placement(s.To.Machine, s.Entry.App)
	d.write(Op{Verb: OpSet, Key: key, Value: value, Noun: assigned})
	return err
}

// repair rewrites what follows from an entry, on condition that the entry stays.
func (d *txnStep) repair(s Step) error {
	m := d.reader.Machine(s.To)
	if m == nil || m.Corrupt {
		return fmt.Errorf("mend %s: %w: %s cannot be read", s.Instance, ErrStale, s.To)
	}
	if _, there := m.Ledger.Entry(d.name, intent.PhasePlaced); !there {
		return fmt.Errorf("mend %s: %w: %s does not hold it", s.Instance, ErrStale, s.To)
	}
	if d.ledgerIndex(s.To) < 0 {
		key := d.tree.Ledger(s.To.Region, s.To.Machine)
		d.check(Op{Verb: OpCheckIndex, Key: key, Index: m.LedgerIndex})
	}
	return d.assign(s)
}
