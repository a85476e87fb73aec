//go:build linux

package main

import (
	"context"
	"fmt"
	"os/exec"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"github.com/platypus-platform/platypus/agents/converge"
	"github.com/platypus-platform/platypus/intent"
)

// TestForeignRulesStay puts random rules of others into a real firewall, converges, and compares what iptables-save
// prints of others before and after, byte by byte. It also checks that what was written is read as it was meant.
func TestForeignRulesStay(t *testing.T) {
	needFirewall(t)
	t.Setenv("XTABLES_LOCKFILE", filepath.Join(t.TempDir(), "lock"))
	for _, backend := range backends {
		t.Run(strings.TrimPrefix(backend, "iptables-"), func(t *testing.T) {
			p := &portAuthority{firewalls: []*firewall{newFirewall(V4, backend), newFirewall(V6, backend)}}
			defer wipe(t, p)
			rapid.Check(t, func(r *rapid.T) { foreignRulesStay(t, r, p) })
		})
	}
}

func foreignRulesStay(t *testing.T, r *rapid.T, p *portAuthority) {
	wipe(t, p)
	others := "*filter\n:OTHERS - [0:0]\n" + strings.Join(rapid.SliceOfN(rapid.Custom(drawForeign), 0, 12).Draw(r, "others"), "") + "COMMIT\n"
	if err := bothRaw(p, others, "-restore", "--noflush"); err != nil {
		r.Fatalf("%v: %s", err, others)
	}
	if rapid.Bool().Draw(r, "jumps") {
		if err := bothRaw(p, "*filter\n:PLATYPUS-INPUT - [0:0]\n-A INPUT -j PLATYPUS-INPUT\n-A INPUT -j PLATYPUS-INPUT\nCOMMIT\n", "-restore", "--noflush"); err != nil {
			r.Fatal(err)
		}
	}
	before := saved(r, p)
	for range 2 {
		node := drawNode(r)
		a, err := p.observe(context.Background())
		if err != nil {
			r.Fatal(err)
		}
		for _, step := range plan(node, a) {
			if err := p.apply(context.Background(), step); err != nil {
				r.Fatal(err)
			}
		}
		readAlike(r, p)
		if after := saved(r, p); after != before {
			r.Fatalf("others' rules changed from\n%s\nto\n%s", before, after)
		}
		if a, err = p.observe(context.Background()); err != nil {
			r.Fatal(err)
		}
		if left := plan(node, a); len(left) > 0 {
			r.Fatalf("what was written is not read as it was meant: %v", left)
		}
		for app, s := range states(node, a) {
			if named, ok := node.App(intent.Name(app)); ok && named.Sound() && s.Phase != converge.Converged && s.Phase != Conflict {
				r.Fatalf("%s: %+v", app, s)
			}
		}
	}
}

// readAlike checks that the kernel's own table, where it can be read, says what iptables-save does.
func readAlike(r *rapid.T, p *portAuthority) {
	for _, w := range p.firewalls {
		out, err := exec.Command(w.program+"-save", "-t", "filter").Output()
		if err != nil {
			r.Fatal(err)
		}
		table, there := readTable(w.family, nil)
		if nft(string(out)) || !there {
			continue
		}
		want := parseChain(string(out))
		got, ok := parseTable(table)
		known := want.RulesBefore == 0 && want.Strays == 0
		for _, rules := range want.Rules {
			known = known && !slices.ContainsFunc(rules, func(r Rule) bool { return r.Raw != "" })
		}
		if ok && !reflect.DeepEqual(got, want) {
			r.Fatalf("%s: the table says\n%+v\niptables-save\n%+v\n%s", w.program, got, want, out)
		}
		if others := strings.ReplaceAll(string(out), "-A "+jump+"\n", ""); !ok && known && !strings.Contains(others, "-A INPUT") {
			r.Fatalf("%s: the table is not understood:\n%s", w.program, out)
		}
	}
}

// saved is what both families hold of others.
func saved(r *rapid.T, p *portAuthority) (text string) {
	for _, w := range p.firewalls {
		out, err := exec.Command(w.program+"-save", "-t", "filter").Output()
		if err != nil {
			r.Fatal(err)
		}
		text += foreign(string(out))
	}
	return text
}

func drawForeign(t *rapid.T) string {
	return fmt.Sprintf("-A %s %s%s%s -j %s\n",
		rapid.SampledFrom([]string{"INPUT", "INPUT", "OTHERS", "FORWARD"}).Draw(t, "chain"),
		rapid.SampledFrom([]string{"", "-i eth0 ", "! -i lo "}).Draw(t, "interface"),
		rapid.SampledFrom([]string{"", "-p tcp -m tcp --dport 22", "-p udp -m multiport --dports 53,5353", "-p tcp --syn"}).Draw(t, "match"),
		rapid.SampledFrom([]string{"", ` -m comment --comment "platypus:slug"`, ` -m comment --comment "a \"quoted\" word"`, " -m limit --limit 5/min"}).Draw(t, "more"),
		rapid.SampledFrom([]string{"ACCEPT", "DROP", "RETURN"}).Draw(t, "target"))
}
