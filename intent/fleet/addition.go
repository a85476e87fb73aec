package fleet

import (
	"cmp"
	"encoding/json"
	"fmt"
	"slices"

	"github.com/platypus-platform/platypus/intent"
)

// addition is what one step adds to a transaction.
type addition struct {
	*Draft
	name  string  // of the instance
	lone  bool    // nothing leaves a machine: what is there stays as it is until all is clear
	hosts []*Host // ledgers that it changes: copies of those of the draft
	to    *Host   // of these, the one that takes the step's entry once nothing speaks against the step
}

func (d *addition) check(op Op) { d.checks = append(d.checks, op) }
func (d *addition) write(op Op) { d.writes = append(d.writes, op) }

func (d *addition) add(s Step) error {
	placed := d.look.Placement(d.name)
	if err := d.wish(s); err != nil {
		return err
	}
	if err := d.elsewhere(s, placed); err != nil {
		return err
	}
	if s.From != (Spot{}) {
		if err := d.leave(s); err != nil {
			return err
		}
	}
	switch s.Verb {
	case Place, Move, Resize:
		if err := d.arrive(s); err != nil {
			return err
		}
	case Mend:
		if err := d.mend(s); err != nil {
			return err
		}
	case Free:
		return nil // a placement is of where the instance is now, not of where it was
	}
	key := d.placed.Key(intent.Name(d.name))
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

// wish makes the transaction hold only while what people want is what it was planned for.
func (d *addition) wish(s Step) error {
	key, index := d.vms.Key(s.Instance.VM), d.look.Wish(s.Instance.VM).Index
	switch s.Verb {
	case Place, Move, Resize, Pend, Evict, Mend:
		if index == 0 {
			return fmt.Errorf("%s %s: %w: the vm is no longer wanted", s.Verb, s.Instance, ErrStale)
		}
		d.check(Op{Verb: OpCheckIndex, Key: key, Index: index})
	case Release, Forget:
		v := d.look.Wish(s.Instance.VM)
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

// elsewhere makes sure, before the placement of an instance is written anew, that the machine which it names does not hold
// the instance: ledgers and placements are read one after the other, and what was read of the one may be older.
func (d *addition) elsewhere(s Step, placed Placed) error {
	said := Spot{placed.Region, placed.Machine}
	if s.Verb != Place && s.Verb != Pend && s.Verb != Forget || placed.State != intent.Placed || said == s.To {
		return nil
	}
	key := d.tree.Ledger(said.Region, said.Machine)
	m := d.look.Machine(said)
	switch {
	case m == nil || m.LedgerIndex == 0:
		d.check(Op{Verb: OpCheckNotExists, Key: key})
		return nil
	case m.Corrupt:
		return fmt.Errorf("%s %s: %w: the ledger of %s cannot be used", s.Verb, s.Instance, ErrStale, said)
	}
	if _, there := m.Ledger.Entry(d.name, intent.PhasePlaced); there {
		return fmt.Errorf("%s %s: %w: it is on %s", s.Verb, s.Instance, ErrStale, said)
	}
	if d.ledger(said) < 0 {
		d.check(Op{Verb: OpCheckIndex, Key: key, Index: m.LedgerIndex})
	}
	return nil
}

// host is a machine whose ledger is to be written, as the steps so far leave it.
func (d *addition) host(s Spot) (*Host, error) {
	for _, h := range d.hosts {
		if h.Spot == s {
			return h, nil
		}
	}
	if at := d.ledger(s); at >= 0 {
		if d.lone {
			return d.ledgers[at], nil
		}
		same := *d.ledgers[at]
		d.hosts = append(d.hosts, &same)
		return &same, nil
	}
	m := d.look.Machine(s)
	switch {
	case m == nil:
		return nil, fmt.Errorf("%s: %w: there is no such machine", s, ErrStale)
	case m.Corrupt:
		return nil, fmt.Errorf("%s: %w: its ledger cannot be used", s, ErrStale)
	}
	h := HostOf(m)
	h.Lodged = slices.Clip(h.Lodged) // they are the ledger's own: what is added goes to a copy
	d.hosts = append(d.hosts, h)
	return h, nil
}

func (h *Host) put(l intent.Ledger) {
	h.Lodged, h.Left = l.Entries, h.Spec.Usable().Minus(l.Taken())
}

// leave takes the entry off the machine where it is, or marks it as leaving.
func (d *addition) leave(s Step) error {
	h, err := d.host(s.From)
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
		gone := old
		gone.Phase = s.Leaves
		ledger = ledger.With(gone)
	}
	h.put(ledger)
	if old.App != "" && phase == intent.PhasePlaced {
		key := d.tree.Placement(s.From.Machine, old.App)
		d.write(Op{Verb: OpDelete, Key: key})
	}
	return nil
}

// arrive puts the entry onto the machine where it goes, if it fits there.
func (d *addition) arrive(s Step) error {
	h, err := d.host(s.To)
	if err != nil {
		return err
	}
	ledger := intent.Ledger{Entries: h.Lodged}
	want := WantOf(d.look.Wish(s.Instance.VM))
	want.Share, want.App = s.Entry.Share(), s.Entry.App
	without := *h
	_, there := ledger.Entry(s.Entry.VM, s.Entry.Phase)
	if there {
		without.put(ledger.Without(s.Entry.VM, s.Entry.Phase))
	}
	reason := without.Holds(&want)
	if s.Verb != Resize && reason == Fits {
		reason = without.Shut()
	}
	if reason != Fits || there != (s.Verb == Resize) {
		return fmt.Errorf("%s %s on %s: %w: %s", s.Verb, s.Instance, s.To, ErrStale, h.Explain(&want, reason))
	}
	*h, d.to = without, h
	if d.arrived != s.To {
		d.check(Op{Verb: OpCheckIndex, Key: d.tree.Machine(s.To.Region, s.To.Machine), Index: h.Index})
	}
	return d.assign(s)
}

// lodge puts an entry into its place among the others, which are sorted. A transaction has a few for a machine, or one: the
// copy that the first of them takes has some room for more.
func (h *Host) lodge(e intent.Entry) {
	at, _ := slices.BinarySearchFunc(h.Lodged, e, func(a, b intent.Entry) int {
		return cmp.Or(cmp.Compare(a.VM, b.VM), cmp.Compare(a.Phase, b.Phase))
	})
	if len(h.Lodged) == cap(h.Lodged) {
		h.Lodged = append(make([]intent.Entry, 0, len(h.Lodged)+len(h.Lodged)/4+4), h.Lodged...)
	}
	h.Lodged, h.Left = slices.Insert(h.Lodged, at, e), h.Left.Minus(e.Share())
}

// assign brings the app of an instance to its node, unless a person did so.
func (d *addition) assign(s Step) error {
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

// mend writes what follows from an entry; the entry must be there and stay so.
func (d *addition) mend(s Step) error {
	m := d.look.Machine(s.To)
	if m == nil || m.Corrupt {
		return fmt.Errorf("mend %s: %w: %s cannot be read", s.Instance, ErrStale, s.To)
	}
	if _, there := m.Ledger.Entry(d.name, intent.PhasePlaced); !there {
		return fmt.Errorf("mend %s: %w: %s does not hold it", s.Instance, ErrStale, s.To)
	}
	if d.ledger(s.To) < 0 {
		key := d.tree.Ledger(s.To.Region, s.To.Machine)
		d.check(Op{Verb: OpCheckIndex, Key: key, Index: m.LedgerIndex})
	}
	return d.assign(s)
}
