package main

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/platypus-platform/platypus/agents/converge"
	"github.com/platypus-platform/platypus/intent"
)

// Actual is what was observed of the host. A part that the agent was told to leave alone is nil.
type Actual struct {
	Chains   map[Family]*Chain
	Files    *Files
	LastGood map[intent.Name][]intent.Port // what intent last asked for soundly
}

// Chain is the firewall of one family, as far as it is this agent's.
type Chain struct {
	Unusable     string // why this family cannot be worked on; all else is then zero
	Absent       bool   // with Off: the host does not speak this family at all, so nothing is missing
	OtherBackend string // the other back-end, which holds a chain of this name as well: nothing is written then
	Exists       bool
	Node         intent.Name // whose chain it is, as a rule in it says; "" when none does
	Jumps        int
	RulesBefore  int                    // rules of others before the first jump that may refuse a packet
	FirstBefore  string                 // of these
	Rules        map[intent.Name][]Rule // by the app that each names
	Strays       int                    // rules in the chain that name no app
	OtherChains  otherChains            // what other base chains do to what is open here
}

// otherChains is what other base chains of nftables do to the ports of a chain.
type otherChains struct {
	Refused    map[Rule]string // rules of the chain that open nothing, with what drops their packets
	Unreadable string          // why nobody knows
}

// unusableReason tells why no family can be worked on, "" when one can or none is to be.
func (a Actual) unusableReason() (why string) {
	for _, family := range families {
		switch c := a.Chains[family]; {
		case c == nil:
		case c.Unusable == "":
			return ""
		case why == "" && !c.Absent:
			why = c.Unusable
		}
	}
	return why
}

// portsOf returns the ports that rules of an app open.
func (a Actual) portsOf(app intent.Name) (spans []portRange) {
	for _, family := range families {
		if c := a.Chains[family]; c != nil {
			for _, r := range c.Rules[app] {
				if r.Raw == "" {
					spans = append(spans, r.Port)
				}
			}
		}
	}
	return spans
}

// owned returns the apps for which something is there.
func (a Actual) owned() []string {
	apps := map[string]bool{}
	for _, c := range a.Chains {
		for app := range c.Rules {
			apps[string(app)] = true
		}
	}
	if a.Files != nil {
		for app := range a.Files.Written {
			apps[string(app)] = true
		}
	}
	for app := range a.LastGood {
		apps[string(app)] = true
	}
	return slices.Sorted(maps.Keys(apps))
}

// Restore rebuilds the chain of one family in one commit of iptables-restore.
type Restore struct {
	Family Family
	Input  string // for iptables-restore --noflush
	Closes bool   // an app that the node still has loses a port
	Why    string
}

// Destroys reports whether somebody may lose what they use.
func (s Restore) Destroys() bool { return s.Closes }

// Subject keeps the families apart: one may fail and the other still converges. No app can have a name with a space.
func (s Restore) Subject() string { return chainSubject(s.Family) }

// String tells what changes.
func (s Restore) String() string { return s.Why }

func chainSubject(family Family) string { return "chain " + string(family) }

// plan returns what brings the host to what intent asks for.
func plan(n intent.Node, a Actual) (steps []converge.Step) {
	c := resolve(n, a)
	for _, family := range families {
		chain := a.Chains[family]
		if chain == nil || !chain.writable() {
			continue
		}
		steps = append(steps, rebuild(family, chain, n, wanted(n, c, chain, family))...)
	}
	if a.Files != nil {
		steps = append(steps, planFiles(n, c, *a.Files)...)
	}
	return steps
}

// rebuild returns what makes a chain hold the rules in want. All is opened first, and what an app that the node still
// has loses is closed after that, in a step of its own, so that nothing waits until the closing is confirmed. That of
// apps that left the node is confirmed already.
func rebuild(family Family, chain *Chain, n intent.Node, want map[intent.Name][]Rule) (steps []converge.Step) {
	first, node := withoutClosing(n, chain.Rules, want), ownerOf(n, chain)
	if why := chain.drift(first, node); why != "" {
		steps = append(steps, Restore{Family: family, Input: input(first, chain.Jumps, node), Why: why})
		chain = &Chain{Exists: true, Node: node, Jumps: 1, Rules: first}
	}
	if why := chain.drift(want, node); why != "" {
		steps = append(steps, Restore{Family: family, Input: input(want, chain.Jumps, node), Closes: true, Why: why})
	}
	return steps
}

// ownerOf is whose the chain shall be: this node's as soon as something is declared for it that can be used, unless
// something is held. Then it stays whose it is.
func ownerOf(n intent.Node, chain *Chain) intent.Name {
	owner := chain.Node
	for _, app := range n.Apps {
		switch {
		case app.Phase == intent.PhaseHeld:
			return chain.Node
		case app.Sound():
			owner = n.Name
		}
	}
	return owner
}

// nodeOf is the node that the chains name as the one whose apps have rules there, "" when none does.
func nodeOf(a Actual, app string) intent.Name {
	for _, family := range families {
		if c := a.Chains[family]; c != nil && c.Node != "" && len(c.Rules[intent.Name(app)]) > 0 {
			return c.Node
		}
	}
	return ""
}

// withoutClosing adds to want what apps of the node would lose of their rules, those made by hand aside.
func withoutClosing(n intent.Node, have, want map[intent.Name][]Rule) map[intent.Name][]Rule {
	all := maps.Clone(want)
	for _, app := range n.Apps {
		if slices.Equal(have[app.Name], want[app.Name]) {
			continue
		}
		lost := slices.DeleteFunc(without(have[app.Name], want[app.Name]), func(r Rule) bool { return r.Raw != "" })
		if len(lost) > 0 {
			all[app.Name] = sorted(slices.Concat(want[app.Name], lost))
		}
	}
	return all
}

func (c *Chain) writable() bool { return c.Unusable == "" && c.OtherBackend == "" }

// wanted returns the rules that the chain should hold: of sound apps what they may have; of others what is there, or,
// when nothing is, what they last could have.
func wanted(n intent.Node, c claims, chain *Chain, family Family) map[intent.Name][]Rule {
	want := make(map[intent.Name][]Rule, len(n.Apps))
	for _, app := range n.Apps {
		rules := chain.Rules[app.Name]
		if app.Sound() || len(rules) == 0 {
			rules = rulesOf(c.granted[app.Name], family)
		}
		if len(rules) > 0 {
			want[app.Name] = rules
		}
	}
	return want
}

// drift tells how the chain differs from what it should be, or "". A host on which nothing is to be opened and that has
// no chain yet is left untouched.
func (c *Chain) drift(want map[intent.Name][]Rule, node intent.Name) string {
	var words []string
	if !c.Exists {
		if len(want) == 0 {
			return ""
		}
		words = append(words, "make chain "+chainName)
	}
	switch {
	case c.Jumps == 0:
		words = append(words, "lead INPUT to it")
	case c.Jumps > 1:
		words = append(words, fmt.Sprintf("leave one of %d jumps to it", c.Jumps))
	}
	if c.Strays > 0 {
		words = append(words, fmt.Sprintf("remove %d rules that name no app", c.Strays))
	}
	if c.Exists && c.Node != node {
		words = append(words, fmt.Sprintf("record node %s as its owner", node))
	}
	words = append(words, differences(c.Rules, want)...)
	return strings.Join(words, "; ")
}

// differences names the apps whose rules change.
func differences(have, want map[intent.Name][]Rule) (words []string) {
	apps := slices.Concat(slices.Collect(maps.Keys(have)), slices.Collect(maps.Keys(want)))
	slices.Sort(apps)
	changed := 0
	for _, app := range slices.Compact(apps) {
		if slices.Equal(have[app], want[app]) {
			continue
		}
		if changed++; changed > maxListed {
			continue
		}
		opened, closed := without(want[app], have[app]), without(have[app], want[app])
		if len(opened) > 0 {
			words = append(words, fmt.Sprintf("open for %s: %s", app, rulesText(opened)))
		}
		if len(closed) > 0 {
			words = append(words, fmt.Sprintf("close for %s: %s", app, rulesText(closed)))
		}
		if len(opened)+len(closed) == 0 {
			words = append(words, fmt.Sprintf("put the rules of %s in order", app))
		}
	}
	if changed > maxListed {
		words = append(words, fmt.Sprintf("and %d more apps", changed-maxListed))
	}
	return words
}

// without returns those of rules that are not among others.
func without(rules, others []Rule) (rest []Rule) {
	among := make(map[Rule]bool, len(others))
	for _, r := range others {
		among[r] = true
	}
	for _, r := range rules {
		if !among[r] {
			rest = append(rest, r)
		}
	}
	return rest
}

// input is what iptables-restore is to read. Declaring the chain empties it; everything up to COMMIT happens at once.
// Jumps are removed by what they are, never by number: a rule of somebody else's may have moved to that number.
func input(want map[intent.Name][]Rule, jumps int, node intent.Name) string {
	size := 200
	for _, rules := range want {
		size += 130 * len(rules)
	}
	b := append(make([]byte, 0, size), "*filter\n:"+chainName+" - [0:0]\n"...)
	if jumps > 1 {
		b = append(b, strings.Repeat("-D "+jump+"\n", jumps)...)
	}
	if jumps != 1 {
		b = append(b, "-I INPUT 1 -j "+chainName+"\n"...)
	}
	for _, app := range slices.Sorted(maps.Keys(want)) {
		for _, r := range want[app] {
			b = r.appendTo(b, app)
		}
	}
	if node != "" {
		b = append(b, "-A "+chainName+" "+markRule(node)+"\n"...)
	}
	return string(append(b, "COMMIT\n"...))
}
