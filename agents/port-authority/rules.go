package main

import (
	"cmp"
	"fmt"
	"net/netip"
	"slices"
	"strconv"
	"strings"

	"github.com/platypus-platform/platypus/intent"
)

// The chain that is this agent's own, the one rule outside it that leads there, and what names an app in a rule.
const (
	chainName = "PLATYPUS-INPUT"
	jump      = "INPUT -j " + chainName
	mark      = "platypus:"
	nodeMark  = "platypus-node:" // in the last rule of the chain, which does nothing but name the node whose chain it is
)

// Family is one of the two protocols of the internet. Each has a firewall of its own.
type Family string

// The families.
const (
	V4 Family = "ipv4"
	V6 Family = "ipv6"
)

// families is every family, in the order in which they are spoken of.
var families = []Family{V4, V6}

// Rule opens one port or range to one source. Two rules that accept the same are equal, however they are spelled.
type Rule struct {
	Port   portRange
	Source netip.Prefix // the zero value is everybody
	Raw    string       // the rule as it stands, when it is none that this agent would write; all else is then zero
}

// portRange is a port or a range of one protocol.
type portRange struct {
	Protocol    intent.Protocol
	First, Last int
}

func portRangeOf(p intent.Port) portRange { return portRange{p.Protocol, p.First, p.Last} }

func (s portRange) String() string {
	return intent.Port{First: s.First, Last: s.Last, Protocol: s.Protocol}.String()
}

// rulesOf returns what a family needs for these ports, sorted, so that neither the order in a list nor a repetition in
// it makes a difference. A port whose sources are all of the other family opens nothing.
func rulesOf(ports []intent.Port, family Family) []Rule {
	rules := make([]Rule, 0, len(ports))
	for _, p := range ports {
		if len(p.Source) == 0 {
			rules = append(rules, Rule{Port: portRangeOf(p)})
		}
		for _, source := range p.Source {
			if source.Addr().Is4() == (family == V4) {
				rules = append(rules, Rule{Port: portRangeOf(p), Source: omitIfAll(source)})
			}
		}
	}
	return sorted(rules)
}

// sorted sorts rules in place and drops those that are there twice.
func sorted(rules []Rule) []Rule {
	if !slices.IsSortedFunc(rules, compareRules) {
		slices.SortFunc(rules, compareRules)
	}
	return slices.Compact(rules)
}

func compareRules(a, b Rule) int {
	return cmp.Or(
		strings.Compare(string(a.Port.Protocol), string(b.Port.Protocol)),
		a.Port.First-b.Port.First,
		a.Port.Last-b.Port.Last,
		a.Source.Addr().Compare(b.Source.Addr()),
		a.Source.Bits()-b.Source.Bits(),
		strings.Compare(a.Raw, b.Raw),
	)
}

// omitIfAll spells the network of all addresses as iptables does: not at all.
func omitIfAll(source netip.Prefix) netip.Prefix {
	if source.Bits() == 0 {
		return netip.Prefix{}
	}
	return source.Masked()
}

// appendTo writes the rule as a line for iptables-restore.
func (r Rule) appendTo(b []byte, app intent.Name) []byte {
	b = append(b, "-A "+chainName+" "...)
	if r.Raw != "" {
		b = append(b, r.Raw...)
		return append(b, '\n')
	}
	if r.Source.IsValid() {
		b = append(b, "-s "...)
		b = r.Source.AppendTo(b)
		b = append(b, ' ')
	}
	protocol := string(r.Port.Protocol)
	b = append(b, "-p "...)
	b = append(b, protocol...)
	b = append(b, " -m "...)
	b = append(b, protocol...)
	b = append(b, " --dport "...)
	b = strconv.AppendInt(b, int64(r.Port.First), 10)
	if r.Port.First != r.Port.Last {
		b = append(b, ':')
		b = strconv.AppendInt(b, int64(r.Port.Last), 10)
	}
	b = append(b, " -m comment --comment \""+mark...)
	b = append(b, app...)
	return append(b, "\" -j ACCEPT\n"...)
}

// markRule is the rule that names a node.
func markRule(node intent.Name) string {
	return "-m comment --comment \"" + nodeMark + string(node) + "\" -j RETURN"
}

// parseMark reads the rule that names a node, ok is false for any other.
func parseMark(rule string) (node intent.Name, ok bool) {
	comment, commented := strings.CutPrefix(rule, "-m comment --comment ")
	comment, returns := strings.CutSuffix(comment, " -j RETURN")
	name, marked := strings.CutPrefix(strings.Trim(comment, `"`), nodeMark)
	node, err := intent.ParseName(name)
	return node, commented && returns && marked && err == nil
}

// parseRule reads what follows "-A PLATYPUS-INPUT " in the output of iptables-save. app is empty for a rule that names
// no app. A rule that names one but is otherwise not of this agent's making comes back as Raw.
func parseRule(text string) (app intent.Name, r Rule) {
	raw, known, accept := text, true, false
	for text != "" {
		var key, value string
		key, text, _ = strings.Cut(text, " ")
		value, text, _ = strings.Cut(text, " ")
		switch key {
		case "-s":
			source, err := netip.ParsePrefix(value)
			r.Source, known = omitIfAll(source), known && err == nil
		case "-p":
			r.Port.Protocol = intent.Protocol(value)
			known = known && (value == "tcp" || value == "udp")
		case "-m":
			known = known && (value == string(r.Port.Protocol) || value == "comment")
		case "--dport":
			known = r.Port.parse(value) && known
		case "--comment":
			name, marked := strings.CutPrefix(strings.Trim(value, `"`), mark)
			parsed, err := intent.ParseName(name)
			if marked && err == nil {
				app = parsed
			}
		case "-j":
			accept = value == "ACCEPT"
		default:
			known = false
		}
	}
	if !known || !accept || r.Port.First == 0 || r.Port.Protocol == "" {
		return app, Rule{Raw: raw}
	}
	return app, r
}

// parse reads 80 or 8000:8010 and reports whether it could.
func (s *portRange) parse(text string) bool {
	first, last, isRange := strings.Cut(text, ":")
	if !isRange {
		last = first
	}
	var err1, err2 error
	s.First, err1 = strconv.Atoi(first)
	s.Last, err2 = strconv.Atoi(last)
	return err1 == nil && err2 == nil
}

// maxListed is how many ports or apps are named in one line before the rest is counted.
const maxListed = 8

// rulesText is how sorted rules read to a person: 1212/tcp, 53/udp from 10.0.0.0/8+192.0.2.1/32.
func rulesText(rules []Rule) string {
	var words []string
	for i, r := range rules {
		switch {
		case i > 0 && r.Raw == "" && r.Port == rules[i-1].Port && r.Source.IsValid() && rules[i-1].Source.IsValid():
			words[len(words)-1] += "+" + r.Source.String()
		case len(words) == maxListed:
			return strings.Join(words, ", ") + fmt.Sprintf(" and %d more", len(rules)-i)
		case r.Raw != "":
			words = append(words, "a rule made by hand")
		case r.Source.IsValid():
			words = append(words, r.Port.String()+" from "+r.Source.String())
		default:
			words = append(words, r.Port.String())
		}
	}
	return strings.Join(words, ", ")
}
