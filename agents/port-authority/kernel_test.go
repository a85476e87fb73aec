package main

import (
	"slices"
	"strings"

	"pgregory.net/rapid"

	"github.com/platypus-platform/platypus/agents/converge"
	"github.com/platypus-platform/platypus/intent"
)

// kernel is a firewall of one family that understands just what iptables-restore may be told by this agent, and fails
// the test at anything else.
type kernel struct {
	input []string // rules of chain INPUT
	chain []string // rules of our own chain
	there bool
	node  string // the rule that names whose chain it is
}

func (k *kernel) restore(t *rapid.T, text string) {
	table, rest, _ := strings.Cut(text, "\n")
	body, whole := strings.CutSuffix(rest, "COMMIT\n")
	if table != "*filter" || !whole {
		t.Fatalf("not one commit to table filter:\n%s", text)
	}
	for line := range strings.Lines(body) {
		line = strings.TrimSuffix(line, "\n")
		rule, ours := strings.CutPrefix(line, "-A PLATYPUS-INPUT ")
		switch {
		case ours && strings.Contains(rule, nodeMark):
			k.node = rule
		case ours && k.there:
			k.chain = append(k.chain, rule)
		case line == ":PLATYPUS-INPUT - [0:0]":
			k.chain, k.node, k.there = nil, "", true
		case line == "-I INPUT 1 -j PLATYPUS-INPUT":
			k.input = slices.Insert(k.input, 0, "-j PLATYPUS-INPUT")
		case line == "-D INPUT -j PLATYPUS-INPUT" && slices.Contains(k.input, "-j PLATYPUS-INPUT"):
			at := slices.Index(k.input, "-j PLATYPUS-INPUT")
			k.input = slices.Delete(k.input, at, at+1)
		default:
			t.Fatalf("touches what is not ours: %q", line)
		}
	}
}

func (k *kernel) save() string {
	var b strings.Builder
	b.WriteString("*filter\n:INPUT ACCEPT [0:0]\n")
	if k.there {
		b.WriteString(":PLATYPUS-INPUT - [0:0]\n")
	}
	for _, r := range k.input {
		b.WriteString("-A INPUT " + r + "\n")
	}
	for _, r := range k.chain {
		b.WriteString("-A PLATYPUS-INPUT " + r + "\n")
	}
	if k.node != "" {
		b.WriteString("-A PLATYPUS-INPUT " + k.node + "\n")
	}
	return b.String() + "COMMIT\n"
}

func (k *kernel) foreign() []string {
	return slices.DeleteFunc(slices.Clone(k.input), func(r string) bool { return r == "-j PLATYPUS-INPUT" })
}

func (k *kernel) jumps() int { return len(k.input) - len(k.foreign()) }

// of returns the rules of the chain that name an app.
func (k *kernel) of(app intent.Name) []string {
	return slices.DeleteFunc(slices.Clone(k.chain), func(r string) bool { return !strings.Contains(r, `"platypus:`+string(app)+`"`) })
}

// machine is a host with both families.
type machine map[Family]*kernel

func (m machine) actual(good map[intent.Name][]intent.Port) Actual {
	a := Actual{Chains: map[Family]*Chain{}, LastGood: good}
	for family, k := range m {
		a.Chains[family] = parseChain(k.save())
	}
	return a
}

func (m machine) apply(t *rapid.T, steps []converge.Step) {
	for _, s := range steps {
		restore := s.(Restore)
		m[restore.Family].restore(t, restore.Input)
	}
}

func (m machine) clone() machine {
	c := machine{}
	for family, k := range m {
		c[family] = &kernel{input: slices.Clone(k.input), chain: slices.Clone(k.chain), there: k.there, node: k.node}
	}
	return c
}
