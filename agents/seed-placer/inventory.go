package main

import (
	"cmp"
	"fmt"
	"maps"
	"strings"

	"github.com/platypus-platform/platypus/intent"
	"github.com/platypus-platform/platypus/store"
)

// InventoryRecord is this node's entry in the inventory, under intent/machines.
type InventoryRecord struct {
	Region  string
	Machine intent.Machine
}

// findInventoryRecord returns this node's record, and what is wrong with it.
func findInventoryRecord(t intent.Tree, node intent.Name, part store.Snapshot) (found *InventoryRecord, fault string) {
	for _, pair := range part.Pairs {
		rest, _ := t.Machines().Below(pair.Key)
		region, name, _ := strings.Cut(rest, "/")
		if name != string(node) {
			continue
		}
		key := strings.TrimPrefix(pair.Key, string(t.Intent()))
		machine, problems := intent.Decode[intent.Machine](key, pair.Value)
		switch err := problems.Err(); {
		case found != nil:
			return found, fmt.Sprintf("the inventory names this node in %s and in %s: the first counts", found.Region, region)
		case err != nil:
			fault = err.Error()
		default:
			found = &InventoryRecord{Region: region, Machine: machine}
		}
	}
	return found, fault
}

// withFlags returns the node as the inventory describes it, overridden by the flags.
func (l *InventoryRecord) withFlags(flags intent.Host) intent.Host {
	if l == nil {
		return flags
	}
	h, m := flags, l.Machine
	h.Region = cmp.Or(flags.Region, l.Region)
	h.Labels = map[string]string{}
	if m.Datacenter != "" { // machines of a datacenter fail together, so it is their zone
		h.Labels["datacenter"], h.Labels["zone"] = m.Datacenter, m.Datacenter
	}
	for name, value := range m.Labels {
		h.Labels[string(name)] = value
	}
	maps.Copy(h.Labels, flags.Labels)
	h.Closed = flags.Closed || m.Is(intent.MachineDraining) || m.Is(intent.MachineDead)
	h.Cordoned = m.Is(intent.MachineCordoned)
	return h
}

// sameHost reports whether two announcements are equal.
func sameHost(a, b intent.Host) bool {
	same := maps.Equal(a.Labels, b.Labels)
	a.Labels, b.Labels = nil, nil
	return same && a.Address == b.Address && a.Region == b.Region && a.Weight == b.Weight && a.Memory == b.Memory &&
		a.Closed == b.Closed && a.Cordoned == b.Cordoned
}

// resolveSelf returns this node as it must be announced. While the record is missing or unreadable the last valid one
// counts: seeds must not move because an inventory was empty for a moment.
func (p *placer) resolveSelf(d Desired) intent.Host {
	p.mu.Lock()
	defer p.mu.Unlock()
	if d.Inventory != nil {
		p.inventory = d.Inventory
	}
	p.host = p.inventory.withFlags(p.self)
	return p.host
}
