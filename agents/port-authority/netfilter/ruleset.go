//go:build linux

package netfilter

import (
	"cmp"
	"fmt"
	"slices"

	"github.com/google/nftables"
)

// Ruleset is what nftables does to what arrives at this host in one family. Chains and sets are read when a packet first
// meets them. It is not for use by several goroutines.
type Ruleset struct {
	conn  *nftables.Conn
	bases []*nftables.Chain
	rules map[string][]*nftables.Rule // by table and chain; nil when they cannot be read
	sets  map[string]*elements        // by table and set; nil when they cannot be read
}

// Read lists the base chains that see what arrives in a family, in the order in which they do.
func Read(v6 bool) (*Ruleset, error) {
	conn, err := nftables.New()
	if err != nil {
		return nil, fmt.Errorf("ask nftables: %w", err)
	}
	all, err := conn.ListChains()
	if err != nil {
		return nil, fmt.Errorf("list chains of nftables: %w", err)
	}
	r := &Ruleset{conn: conn, rules: map[string][]*nftables.Rule{}, sets: map[string]*elements{}}
	own := nftables.TableFamilyIPv4
	if v6 {
		own = nftables.TableFamilyIPv6
	}
	for _, c := range all {
		ours := c.Table.Family == own || c.Table.Family == nftables.TableFamilyINet
		if ours && c.Type == nftables.ChainTypeFilter && hookOf(c) != "" {
			r.bases = append(r.bases, c)
		}
	}
	slices.SortStableFunc(r.bases, func(a, b *nftables.Chain) int {
		return cmp.Or(int(*a.Hooknum)-int(*b.Hooknum), cmp.Compare(priority(a), priority(b)))
	})
	return r, nil
}

func priority(c *nftables.Chain) nftables.ChainPriority {
	if c.Priority == nil {
		return 0
	}
	return *c.Priority
}

// hookOf names the hook of a base chain that sees what arrives for this host, "" for any other chain.
func hookOf(c *nftables.Chain) string {
	switch {
	case c.Hooknum == nil:
		return ""
	case *c.Hooknum == *nftables.ChainHookPrerouting:
		return "prerouting"
	case *c.Hooknum == *nftables.ChainHookInput:
		return "input"
	}
	return ""
}

func key(table *nftables.Table, name string) string {
	return fmt.Sprintf("%d %s %s", table.Family, table.Name, name)
}

func (r *Ruleset) chain(table *nftables.Table, name string) ([]*nftables.Rule, bool) {
	k := key(table, name)
	rules, known := r.rules[k]
	if !known {
		var err error
		if rules, err = r.conn.GetRules(table, &nftables.Chain{Name: name}); err != nil {
			rules = nil
		} else if rules == nil {
			rules = []*nftables.Rule{}
		}
		r.rules[k] = rules
	}
	return rules, rules != nil
}

func (r *Ruleset) elements(table *nftables.Table, name string) *elements {
	k := key(table, name)
	known, ok := r.sets[k]
	if !ok {
		if set, err := r.conn.GetSetByName(table, name); err == nil {
			set.Table = table
			if all, err := r.conn.GetSetElements(set); err == nil {
				known = newElements(set, all)
			}
		}
		r.sets[k] = known
	}
	return known
}

// Verdict returns the base chain that certainly drops a packet, nil when none does.
func (r *Ruleset) Verdict(p Packet) *Drop {
	for _, base := range r.bases {
		w := &walk{rules: r, table: base.Table, packet: p, finished: map[string]result{}}
		got := w.chain(base.Name, 0)
		policy := base.Policy != nil && *base.Policy == nftables.ChainPolicyDrop
		if got.outcome&passes != 0 || got.outcome&falls != 0 && !policy {
			continue
		}
		return &Drop{
			Family: families[base.Table.Family], Table: base.Table.Name, Chain: base.Name, Hook: hookOf(base),
			Policy: got.outcome&falls != 0, By: got.by,
		}
	}
	return nil
}

var families = map[nftables.TableFamily]string{
	nftables.TableFamilyIPv4: "ip", nftables.TableFamilyIPv6: "ip6", nftables.TableFamilyINet: "inet",
}
