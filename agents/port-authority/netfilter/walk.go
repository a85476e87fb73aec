//go:build linux

package netfilter

import (
	"github.com/google/nftables"
	"github.com/google/nftables/expr"
)

// walk follows one packet through the chains of one table.
type walk struct {
	rules    *Ruleset
	table    *nftables.Table
	packet   Packet
	finished map[string]result
}

// result is what becomes of a packet in a chain, and which chain dropped it when one did.
type result struct {
	outcome outcome
	by      string
}

func (r *result) add(o result) {
	r.outcome |= o.outcome
	if o.by != "" {
		r.by = o.by
	}
}

// anything is what becomes of a packet where the rules cannot be read.
const anything = passes | drops | falls

func (w *walk) elements(name string) *elements { return w.rules.elements(w.table, name) }

// chain follows the packet through a chain.
func (w *walk) chain(name string, depth int) result {
	if known, ok := w.finished[name]; ok {
		return known
	}
	rules, ok := w.rules.chain(w.table, name)
	if !ok || depth > maxDepth {
		return result{outcome: anything}
	}
	var all result
	for _, rule := range rules {
		one := w.rule(name, rule.Exprs, depth)
		more := one.outcome&unmatched != 0
		one.outcome &^= unmatched
		all.add(one)
		if !more {
			w.finished[name] = all
			return all
		}
	}
	all.outcome |= falls
	w.finished[name] = all
	return all
}

// rule follows the packet through one rule of a chain.
func (w *walk) rule(chain string, expressions []expr.Any, depth int) result {
	c := conditions{walk: w}
	var uncertain outcome // unmatched, once a condition is met that may not be so
	for _, e := range expressions {
		one, decided, met := w.decide(chain, e, depth), true, yes
		if lookup, ok := e.(*expr.Lookup); ok {
			var verdicts []*expr.Verdict
			met, verdicts = c.lookup(lookup)
			one, decided = result{}, len(verdicts) > 0
			for _, v := range verdicts {
				one.add(w.verdict(chain, v, depth))
			}
		} else if decided = one.outcome != 0; !decided {
			met = c.next(e)
		}
		switch met {
		case no:
			return result{outcome: unmatched}
		case maybe:
			uncertain = unmatched
		}
		if decided {
			one.outcome |= uncertain
			return one
		}
	}
	return result{outcome: unmatched}
}

// decide returns what an expression that decides makes of the packet, and nothing for any other.
func (w *walk) decide(chain string, e expr.Any, depth int) result {
	switch e := e.(type) {
	case *expr.Verdict:
		return w.verdict(chain, e, depth)
	case *expr.Reject:
		return result{drops, chain}
	case *expr.Target:
		switch {
		case e.Name == "REJECT" || e.Name == "DROP":
			return result{drops, chain}
		case harmless[e.Name]:
			return result{outcome: unmatched}
		}
		return result{outcome: passes | unmatched}
	case *expr.NAT, *expr.Masq, *expr.Redir, *expr.Queue, *expr.SynProxy:
		return result{outcome: passes}
	}
	return result{}
}

// verdict returns what a verdict makes of the packet.
func (w *walk) verdict(chain string, v *expr.Verdict, depth int) result {
	switch v.Kind {
	case expr.VerdictDrop:
		return result{drops, chain}
	case expr.VerdictReturn:
		return result{outcome: falls}
	case expr.VerdictContinue, expr.VerdictBreak:
		return result{outcome: unmatched}
	case expr.VerdictGoto:
		return w.chain(v.Chain, depth+1)
	case expr.VerdictJump:
		r := w.chain(v.Chain, depth+1)
		if r.outcome&falls != 0 {
			r.outcome = r.outcome&^falls | unmatched
		}
		return r
	}
	return result{outcome: passes} // accepted, or handed to a program that may accept it
}
