package main

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"github.com/platypus-platform/platypus/agents/converge"
	"github.com/platypus-platform/platypus/intent"
)

var (
	names   = []intent.Name{"api", "db", "slug", "web-1.2"}
	sources = []string{"", "", "10.0.0.0/8", "192.0.2.7/32", "2001:db8::/32", "0.0.0.0/0", "::/0"}
)

func drawPort(t *rapid.T) intent.Port {
	p := intent.Port{First: rapid.IntRange(1, 9).Draw(t, "first")}
	p.Last = p.First + rapid.SampledFrom([]int{0, 0, 0, 2}).Draw(t, "length")
	p.Protocol = rapid.SampledFrom([]intent.Protocol{intent.TCP, intent.UDP}).Draw(t, "protocol")
	for range rapid.IntRange(0, 2).Draw(t, "sources") {
		if s := rapid.SampledFrom(sources).Draw(t, "source"); s != "" {
			p.Source = append(p.Source, netip.MustParsePrefix(s))
		}
	}
	return p
}

func drawNode(t *rapid.T) intent.Node {
	n := intent.Node{Name: "web1"}
	for _, name := range names {
		if rapid.Bool().Draw(t, "has "+string(name)) {
			n.Apps = append(n.Apps, intent.App{
				Name: name, Created: rapid.Uint64Range(0, 3).Draw(t, "created"),
				Phase:  rapid.SampledFrom([]string{"", "", "", intent.PhaseInvalid, intent.PhaseHeld}).Draw(t, "phase"),
				Deploy: intent.DeployConfig{Ports: rapid.SliceOfN(rapid.Custom(drawPort), 0, 4).Draw(t, "ports")},
			})
		}
	}
	return n
}

// line is a rule as iptables-save prints it.
func line(p intent.Port, source string, app intent.Name) string {
	ports := fmt.Sprint(p.First)
	if p.Last > p.First {
		ports = fmt.Sprintf("%d:%d", p.First, p.Last)
	}
	if source != "" && !strings.HasSuffix(source, "/0") {
		source = "-s " + source + " "
	} else {
		source = ""
	}
	return fmt.Sprintf(`%s-p %s -m %[2]s --dport %[3]s -m comment --comment "platypus:%[4]s" -j ACCEPT`, source, p.Protocol, ports, app)
}

// drawGood is what apps may have had before.
func drawGood(t *rapid.T) map[intent.Name][]intent.Port {
	good := map[intent.Name][]intent.Port{}
	for _, name := range names {
		good[name] = rapid.SliceOfN(rapid.Custom(drawPort), 0, 2).Draw(t, "good of "+string(name))
	}
	return good
}

func drawMachine(t *rapid.T) machine {
	m := machine{V4: {}, V6: {}}
	for _, family := range families {
		k := m[family]
		k.input = rapid.SliceOfN(rapid.SampledFrom([]string{
			"-p tcp -m tcp --dport 22 -j ACCEPT", "-i eth0 -j PLATYPUS-INPUT", "-j DROP", "-j PLATYPUS-INPUT",
			`-m comment --comment "platypus:slug" -j ACCEPT`,
		}), 0, 5).Draw(t, "input")
		k.there = k.jumps() > 0 || rapid.Bool().Draw(t, "chain")
		for range rapid.IntRange(0, 6).Draw(t, "rules") {
			if !k.there {
				break
			}
			app := rapid.SampledFrom(names).Draw(t, "app")
			own := line(drawPort(t), rapid.SampledFrom([]string{"", "192.0.2.7/32"}).Draw(t, "from"), app)
			k.chain = append(k.chain, rapid.SampledFrom([]string{
				own, own, own, strings.Replace(own, "ACCEPT", "DROP", 1), strings.Replace(own, "-m comment", "-m limit --limit 5/min -m comment", 1),
				"-p tcp -m tcp --dport 23 -j ACCEPT", `-m comment --comment "not ours" -j ACCEPT`,
			}).Draw(t, "rule"))
		}
	}
	return m
}

// oracle says what the chain of a family should hold, from the words of the contract alone: the older app has a port,
// an app that may not be touched has what it has, or what it last could have where it has nothing and nobody older has
// it; a source counts in its own family.
func oracle(n intent.Node, good map[intent.Name][]intent.Port, before machine, family Family) (want []string, losers map[intent.Name]bool) {
	age := slices.Clone(n.Apps)
	slices.SortFunc(age, func(x, y intent.App) int {
		if x.Created != y.Created {
			return int(x.Created) - int(y.Created)
		}
		return strings.Compare(string(x.Name), string(y.Name))
	})
	owner, losers := map[string]intent.Name{}, map[intent.Name]bool{}
	claim := func(app intent.Name, protocol string, first, last int) {
		for port := first; port <= last; port++ {
			if key := fmt.Sprint(protocol, port); owner[key] == "" {
				owner[key] = app
			}
		}
	}
	for _, app := range age {
		ports := app.Deploy.Ports
		if app.Phase != "" {
			ports = good[app.Name]
			want = append(want, before[family].of(app.Name)...)
			for _, k := range before {
				for _, r := range k.of(app.Name) {
					var protocol string
					var first, last int
					_, after, _ := strings.Cut(r, "-p ")
					if strings.Contains(r, "limit") || strings.Contains(r, "DROP") {
						continue
					}
					if n, _ := fmt.Sscanf(after[strings.Index(after, "--dport"):], "--dport %d:%d", &first, &last); n == 1 {
						last = first
					}
					protocol, _, _ = strings.Cut(after, " ")
					claim(app.Name, protocol, first, last)
				}
			}
		}
		for _, p := range ports {
			free := true
			for port := p.First; port <= p.Last; port++ {
				if o := owner[fmt.Sprint(p.Protocol, port)]; o != "" && o != app.Name {
					free = false
				}
			}
			if !free {
				losers[app.Name] = app.Phase == ""
				continue
			}
			claim(app.Name, string(p.Protocol), p.First, p.Last)
			if app.Phase != "" && len(before[family].of(app.Name)) > 0 {
				continue
			}
			if len(p.Source) == 0 {
				want = append(want, line(p, "", app.Name))
			}
			for _, s := range p.Source {
				if strings.Contains(s.String(), ":") == (family == V6) {
					want = append(want, line(p, s.String(), app.Name))
				}
			}
		}
	}
	return want, losers
}

func set(lines []string) []string { return slices.Compact(slices.Sorted(slices.Values(lines))) }

// reached fails the test unless the host is as the oracle says and nothing is left to do.
func reached(t *rapid.T, n intent.Node, good map[intent.Name][]intent.Port, before, m machine) {
	for _, family := range families {
		k, was := m[family], before[family]
		want, losers := oracle(n, good, before, family)
		if got := set(k.chain); !slices.Equal(got, set(want)) {
			t.Fatalf("%s holds\n%s\nin place of\n%s", family, strings.Join(got, "\n"), strings.Join(set(want), "\n"))
		}
		if !slices.Equal(k.foreign(), was.foreign()) {
			t.Fatalf("%s: rules of others changed: %q", family, k.input)
		}
		if k.there && k.jumps() != 1 || !k.there && (was.there || len(want) > 0) {
			t.Fatalf("%s: chain %t, %d jumps", family, k.there, k.jumps())
		}
		if was.jumps() == 1 && !slices.Equal(k.input, was.input) {
			t.Fatalf("%s: the jump was moved: %q", family, k.input)
		}
		if was.jumps() != 1 && k.there && k.input[0] != "-j PLATYPUS-INPUT" {
			t.Fatalf("%s: the jump is not at the head: %q", family, k.input)
		}
		for _, app := range n.Apps {
			if had := was.of(app.Name); !app.Sound() && len(had) > 0 && !slices.Equal(k.of(app.Name), had) {
				t.Fatalf("%s: %s may not be touched", family, app.Name)
			}
			phase := states(n, m.actual(good))[string(app.Name)].Phase
			if wanted := map[bool]string{true: Conflict, false: converge.Converged}[losers[app.Name]]; app.Sound() && phase != wanted {
				t.Fatalf("%s is %s in place of %s", app.Name, phase, wanted)
			}
		}
	}
	if left := plan(n, m.actual(good)); len(left) > 0 {
		t.Fatalf("still to do: %v", left)
	}
}

// unharmed demands that a step takes nothing from an app that the node still has, unless it says so and takes
// something.
func unharmed(t *rapid.T, n intent.Node, step converge.Step, before, after machine) {
	lost := false
	for _, app := range n.Apps {
		for family, k := range before {
			have := set(after[family].of(app.Name))
			lost = lost || slices.ContainsFunc(k.of(app.Name), func(line string) bool {
				_, r := parseRule(line)
				return r.Raw == "" && !slices.Contains(have, line)
			})
		}
	}
	if lost != step.(converge.Destroyer).Destroys() {
		t.Fatalf("%q takes something: %t, and says so: %t", step, lost, !lost)
	}
}

// TestAFileClosesOnlyWhatItSaysNoMore: only then it waits for the store's word.
func TestAFileClosesOnlyWhatItSaysNoMore(t *testing.T) {
	file := func(ports ...int) string {
		var all []intent.Port
		for _, port := range ports {
			all = append(all, intent.Port{First: port, Last: port, Protocol: intent.TCP})
		}
		content, _ := format2014("slug", all)
		return content
	}
	for _, c := range []struct {
		before, after string
		ours, closes  bool
	}{
		{file(80), file(80, 443), true, false},
		{file(80, 443), file(443), true, true},
		{file(80), file(81), true, true},
		{file(80), file(), true, true},
		{file(), file(80), true, false},
		{file(80), file(80, 443), false, true},
		{"written by hand\n", file(80), false, true},
	} {
		f := Files{Content: map[intent.Name]string{"slug": c.before}, Written: map[intent.Name]bool{"slug": c.ours}}
		if got := f.closes("slug", c.after); got != c.closes {
			t.Errorf("%q to %q closes: %t", c.before, c.after, got)
		}
	}
	if (Files{}).closes("slug", file()) {
		t.Error("a first file closes nothing")
	}
}

// TestPlan checks goal, fixpoint, ownership, safety from a crash after any step, and freedom of order.
func TestPlan(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		n, before, good := drawNode(t), drawMachine(t), drawGood(t)
		steps := plan(n, before.actual(good))

		done := before.clone()
		done.apply(t, steps)
		reached(t, n, good, before, done)

		backwards := before.clone()
		slices.SortStableFunc(steps, func(a, b converge.Step) int { return strings.Compare(b.Subject(), a.Subject()) })
		for i, step := range steps { // a crash after each step, and the other order
			had := backwards.clone()
			backwards.apply(t, []converge.Step{step})
			unharmed(t, n, step, had, backwards)
			crashed := backwards.clone()
			crashed.apply(t, plan(n, crashed.actual(good)))
			reached(t, n, good, before, crashed)
			if i == len(steps)-1 {
				reached(t, n, good, before, backwards)
			}
		}

		shuffled := intent.Node{Name: n.Name, Apps: slices.Clone(n.Apps)}
		for i := range shuffled.Apps {
			conflicts := states(n, done.actual(good))[string(n.Apps[i].Name)].Phase == Conflict
			if ports := n.Apps[i].Deploy.Ports; len(ports) > 1 && !conflicts {
				shuffled.Apps[i].Deploy.Ports = rapid.Permutation(ports).Draw(t, "order")
			}
		}
		if left := plan(shuffled, done.actual(good)); len(left) > 0 {
			t.Fatalf("the order of ports matters: %v", left)
		}
	})
}

// TestRuleRoundTrip checks that a rule that was written is known again.
func TestRuleRoundTrip(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		app := rapid.SampledFrom(names).Draw(t, "app")
		for _, family := range families {
			for _, r := range rulesOf([]intent.Port{drawPort(t)}, family) {
				text := strings.TrimSuffix(strings.TrimPrefix(string(r.appendTo(nil, app)), "-A PLATYPUS-INPUT "), "\n")
				if gotApp, got := parseRule(text); gotApp != app || got != r {
					t.Fatalf("%q is read as %s %+v", text, gotApp, got)
				}
			}
		}
	})
}
