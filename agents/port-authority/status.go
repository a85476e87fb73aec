package main

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/platypus-platform/platypus/agents/converge"
	"github.com/platypus-platform/platypus/intent"
)

// Conflict is the phase of an app that did not get a port because another app of this node had it first.
const Conflict = "conflict"

// states tells where each app, each family and the command of 2014 stand.
func states(n intent.Node, a Actual) map[string]converge.State {
	c, all := resolve(n, a), map[string]converge.State{}
	want, blocked := map[Family]map[intent.Name][]Rule{}, map[Family]string{}
	for _, family := range families {
		if chain := a.Chains[family]; chain != nil {
			want[family] = wanted(n, c, chain, family)
			all[chainSubject(family)], blocked[family] = chain.state(want[family], ownerOf(n, chain))
		}
	}
	for _, app := range n.Apps {
		all[string(app.Name)] = appState(app, c, a, want, blocked)
	}
	if a.unusableReason() != "" {
		for subject, s := range all {
			if s.Phase == converge.Waiting { // no other agent brings what is missing
				s.Phase = converge.Failed
				all[subject] = s
			}
		}
	}
	if a.Files != nil && a.Files.Command {
		all[rebuildSubject] = a.Files.commandState()
	}
	return all
}

// state tells where one family stands, and why nothing can be done about it, when that is so.
func (c *Chain) state(want map[intent.Name][]Rule, node intent.Name) (s converge.State, blocked string) {
	s = converge.State{Phase: converge.Converged, Want: "1 jump, " + ruleCount(want), Have: fmt.Sprintf("%d jumps, %s", c.Jumps, ruleCount(c.Rules))}
	if c.Jumps == 1 {
		s.Have = "1 jump, " + ruleCount(c.Rules)
	}
	switch {
	case c.Absent:
		return converge.State{Phase: converge.Converged, Reason: c.Unusable}, c.Unusable
	case c.Unusable != "":
		s.Phase, s.Reason, s.Have = converge.Waiting, c.Unusable, ""
		return s, c.Unusable
	case c.OtherBackend != "":
		s.Phase, s.Reason = converge.Waiting, elsewhereText(c.OtherBackend)
		return s, s.Reason
	}
	if why := c.drift(want, node); why != "" {
		s.Phase, s.Reason = converge.Working, why
	} else if !c.Exists {
		s.Want, s.Have = "nothing", "nothing"
	} else if text := c.refusedText(want); text != "" {
		s.Phase, s.Reason = converge.Failed, text
	} else if c.OtherChains.Unreadable != "" {
		s.Reason = "other chains of nftables cannot be read, and may refuse what is open here: " + c.OtherChains.Unreadable
	} else if c.RulesBefore > 0 {
		s.Reason = c.aheadText()
	}
	return s, ""
}

// refusedText names what does not let packets through to ports that are open here, the first of each app.
func (c *Chain) refusedText(want map[intent.Name][]Rule) string {
	if len(c.OtherChains.Refused) == 0 {
		return ""
	}
	var words []string
	for _, app := range slices.Sorted(maps.Keys(want)) {
		if text := c.refused(want[app]); text != "" && !slices.Contains(words, text) {
			words = append(words, text)
		}
	}
	if len(words) > maxListed {
		words = append(words[:maxListed], fmt.Sprintf("and %d more", len(words)-maxListed))
	}
	return notOpened + strings.Join(words, "; ")
}

// refused tells of the first of these rules that opens nothing why that is so, "" when each opens its port.
func (c *Chain) refused(rules []Rule) string {
	for _, r := range rules {
		if text := c.OtherChains.Refused[r]; text != "" {
			return text
		}
	}
	return ""
}

// notOpened begins the reason of a port whose rule is in place and to which packets do not get through.
const notOpened = "not opened: "

// aheadText warns of what others put before the jump. It stays there: its place is theirs to choose.
func (c *Chain) aheadText() string {
	rules := "1 rule of others stands"
	if c.RulesBefore > 1 {
		rules = fmt.Sprintf("%d rules of others stand", c.RulesBefore)
	}
	return fmt.Sprintf("%s before the jump to %s and may refuse what is open here, the first: %s", rules, chainName, c.FirstBefore)
}

func elsewhereText(other string) string {
	return fmt.Sprintf("chain %s is in the other back-end as well, and a packet must pass both: "+
		"remove it there (%[2]s -D INPUT -j %[1]s; %[2]s -F %[1]s; %[2]s -X %[1]s) or choose that back-end with --iptables",
		chainName, other)
}

func ruleCount(rules map[intent.Name][]Rule) string {
	n := 0
	for _, of := range rules {
		n += len(of)
	}
	if n == 1 {
		return "1 rule"
	}
	return fmt.Sprintf("%d rules", n)
}

// appState tells where an app stands. An app converges with the families there are.
func appState(app intent.App, c claims, a Actual, wanted map[Family]map[intent.Name][]Rule, blocked map[Family]string) converge.State {
	s := converge.State{Phase: converge.Converged, Have: a.have(app.Name)}
	if !app.Sound() {
		s.Phase, s.Reason = app.Phase, app.Reason
		return s
	}
	s.Want = cmp.Or(portsText(app.Deploy.Ports), "nothing")
	open, wanting := 0, 0
	var reasons, notes []string
	refused := map[Family]string{}
	for _, family := range families {
		chain := a.Chains[family]
		if chain == nil {
			continue
		}
		want := wanted[family][app.Name]
		if len(want) > 0 {
			wanting++
		}
		switch {
		case blocked[family] != "" && len(want) > 0:
			notes = append(notes, fmt.Sprintf("not opened in %s: %s", family, blocked[family]))
		case blocked[family] == "" && !slices.Equal(chain.Rules[app.Name], want):
			if s.Phase = converge.Working; len(without(want, chain.Rules[app.Name])) == 0 {
				s.Reason = "what is open too much is closed once the store confirms that"
			}
		case len(want) > 0:
			open++
			refused[family] = chain.refused(want)
		}
	}
	if text := refusedText(refused, open); text != "" && s.Phase == converge.Converged {
		s.Phase, reasons = converge.Failed, append(reasons, text)
	}
	if wanting > 0 && open == 0 && len(notes) == wanting {
		s.Phase = converge.Waiting
	}
	s = a.Files.appState(s, app.Name, c.granted[app.Name], &notes)
	if lost := c.lost[app.Name]; len(lost) > 0 {
		s.Phase, reasons = Conflict, append(reasons, lostText(app.Name, lost))
	}
	if won := c.won[app.Name]; len(won) > 0 {
		notes = append(notes, wonText(won))
	}
	s.Reason = cmp.Or(strings.Join(append(reasons, notes...), "; "), s.Reason)
	return s
}

// refusedText tells why an app's ports are not open in the families that have rules for them.
func refusedText(refused map[Family]string, families int) string {
	v4, v6 := refused[V4], refused[V6]
	switch {
	case v4 == "" && v6 == "":
		return ""
	case v4 == v6 || v6 == "" && families == 1:
		return notOpened + v4
	case v4 == "" && families == 1:
		return notOpened + v6
	case v6 == "":
		return "not opened in ipv4: " + v4
	case v4 == "":
		return "not opened in ipv6: " + v6
	}
	return fmt.Sprintf("not opened in ipv4: %s; nor in ipv6: %s", v4, v6)
}

// have is what is open for an app, in words.
func (a Actual) have(app intent.Name) string {
	var rules []Rule
	for _, family := range families {
		if c := a.Chains[family]; c != nil && !slices.Equal(rules, c.Rules[app]) {
			passing := slices.DeleteFunc(slices.Clone(c.Rules[app]), func(r Rule) bool { return c.OtherChains.Refused[r] != "" })
			rules = sorted(slices.Concat(rules, passing))
		}
	}
	if text := rulesText(rules); text != "" {
		return text
	}
	if a.Files != nil {
		return cmp.Or(a.Files.have(app), "nothing")
	}
	return "nothing"
}

// portsText is how declared ports read: as the rules of both families do.
func portsText(ports []intent.Port) string {
	few := ports[:min(len(ports), maxListed)]
	text := rulesText(sorted(slices.Concat(rulesOf(few, V4), rulesOf(few, V6))))
	if len(few) < len(ports) {
		text += fmt.Sprintf(" and %d more", len(ports)-len(few))
	}
	return text
}
