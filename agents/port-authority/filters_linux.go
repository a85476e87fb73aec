package main

import (
	"fmt"
	"time"

	"github.com/platypus-platform/platypus/agents/port-authority/netfilter"
	"github.com/platypus-platform/platypus/intent"
)

// chainCheck is what other rules of nftables do to the ports that a chain opens.
type chainCheck struct {
	of    *Chain // as it was looked at
	with  *Chain // the same, and what is refused
	at    uint32 // the generation of nftables before the look
	since time.Time
}

// checkOtherChains adds to a chain which of its rules open nothing, because a base chain of nftables drops what they
// accept. It looks again when the chain or anything in nftables has changed, and now and then, for routes change as
// well.
func (w *firewall) checkOtherChains(chain *Chain) *Chain {
	at, known := generation()
	if !known || chain.Unusable != "" || len(chain.Rules) == 0 {
		return chain
	}
	if j := w.judgement; j.of == chain && j.at == at && time.Since(j.since) < otherBackendPeriod {
		return j.with
	}
	with := *chain
	with.OtherChains.Refused = nil
	rules, err := netfilter.Read(w.family == V6)
	if err != nil {
		with.OtherChains.Unreadable = err.Error()
	} else {
		with.OtherChains.Refused = refusals(w.family, chain.Rules, rules)
	}
	w.judgement = chainCheck{of: chain, with: &with, at: at, since: time.Now()}
	return &with
}

// refusals returns the rules whose packets do not get through, and why.
func refusals(family Family, open map[intent.Name][]Rule, rules *netfilter.Ruleset) map[Rule]string {
	refused := map[Rule]string{}
	ways := map[Rule][]ingress{} // by rules that are only a source
	for _, of := range open {
		for _, r := range of {
			if r.Raw != "" {
				continue
			}
			from := Rule{Source: r.Source}
			if ways[from] == nil {
				ways[from] = ingressesFor(family, r.Source)
			}
			if drop := dropped(r, ways[from], rules); drop != nil {
				refused[r] = refusalText(drop, r.Port)
			}
		}
	}
	return refused
}

// dropped returns what drops packets to one of the ports of a rule on all the ways on which they may come.
func dropped(r Rule, ways []ingress, rules *netfilter.Ruleset) (drop *netfilter.Drop) {
	protocol := byte(6)
	if r.Port.Protocol == intent.UDP {
		protocol = 17
	}
	ports := []int{r.Port.First, (r.Port.First + r.Port.Last) / 2, r.Port.Last}
	for i, port := range ports {
		if i > 0 && port == ports[i-1] {
			continue
		}
		for _, way := range ways {
			drop = rules.Verdict(netfilter.Packet{Protocol: protocol, Source: way.source, Destination: way.destination,
				Port: uint16(port), Interface: way.name, Index: way.index})
			if drop == nil {
				break
			}
		}
		if drop != nil {
			return drop
		}
	}
	return nil
}

func refusalText(d *netfilter.Drop, port portRange) string {
	why := "policy drop, no rule accepts"
	if !d.Policy {
		why = fmt.Sprintf("a rule in chain %s refuses", d.By)
	}
	return fmt.Sprintf("table %s %s also filters %s (%s %s)", d.Family, d.Table, d.Hook, why, port)
}
