//go:build linux

package main

import (
	"context"
	"fmt"
	"io"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/platypus-platform/platypus/agents/converge"
	"github.com/platypus-platform/platypus/intent"
)

var backends = []string{"iptables-nft", "iptables-legacy"}

// BenchmarkManyPorts measures a pass that opens 10,000 ports and one that finds them open (idle:
// the first after a change, steady: the next), each beside the bare
// iptables-restore and iptables-save of the same rules, both families side by side in all four.
func BenchmarkManyPorts(b *testing.B) {
	needFirewall(b)
	for _, backend := range backends {
		b.Run(strings.TrimPrefix(backend, "iptables-"), func(b *testing.B) { manyPorts(b, backend) })
	}
}

func manyPorts(b *testing.B, backend string) {
	b.Setenv("XTABLES_LOCKFILE", filepath.Join(b.TempDir(), "lock"))
	p := &portAuthority{firewalls: []*firewall{newFirewall(V4, backend), newFirewall(V6, backend)}}
	app := intent.App{Name: "slug", Created: 1}
	for port := 1; port <= 10000; port++ {
		app.Deploy.Ports = append(app.Deploy.Ports, intent.Port{First: port, Last: port, Protocol: intent.TCP})
	}
	node := intent.Node{Name: "web1", Apps: []intent.App{app}}
	want := map[intent.Name][]Rule{"slug": rulesOf(app.Deploy.Ports, V4)}
	var open, rawOpen, idle, rawIdle, steady []time.Duration
	for b.Loop() {
		wipe(b, p)
		rawOpen = append(rawOpen, timed(b, func() error { return bothRaw(p, input(want, 0, "web1"), "-restore", "--noflush", "-w", "5") }))
		wipe(b, p)
		open = append(open, timed(b, func() error { return pass(p, node, 2) }))
		rawIdle = append(rawIdle, timed(b, func() error { return bothRaw(p, "", "-save", "-t", "filter") }))
		idle = append(idle, timed(b, func() error { return pass(p, node, 0) }))
		steady = append(steady, timed(b, func() error { return pass(p, node, 0) }))
	}
	wipe(b, p)
	b.ReportMetric(float64(median(open))/float64(median(rawOpen)), "open/restore")
	b.ReportMetric(float64(median(idle))/float64(median(rawIdle)), "idle/save")
	b.ReportMetric(float64(median(steady))/float64(median(rawIdle)), "steady/save")
	b.ReportMetric(ms(median(open)), "open-ms")
	b.ReportMetric(ms(median(rawOpen)), "restore-ms")
	b.ReportMetric(ms(median(idle)), "idle-ms")
	b.ReportMetric(ms(median(rawIdle)), "save-ms")
}

// pass looks, plans, says where things stand and applies, as one turn of the loop does.
func pass(p *portAuthority, node intent.Node, steps int) error {
	a, err := p.observe(context.Background())
	if err != nil {
		return err
	}
	planned := plan(node, a)
	states(node, a)
	if len(planned) != steps {
		return fmt.Errorf("%d steps in place of %d: %v", len(planned), steps, planned)
	}
	return beside(len(planned), func(i int) error { return p.apply(context.Background(), planned[i]) })
}

func bothRaw(p *portAuthority, stdin, end string, args ...string) error {
	return beside(len(p.firewalls), func(i int) error {
		cmd := exec.Command(p.firewalls[i].program+end, args...)
		cmd.Stdin, cmd.Stdout = strings.NewReader(stdin), io.Discard
		return cmd.Run()
	})
}

// beside runs do n times side by side.
func beside(n int, do func(int) error) error {
	var all sync.WaitGroup
	errs := make(chan error, n+1)
	for i := range n {
		all.Go(func() { errs <- do(i) })
	}
	all.Wait()
	errs <- nil
	for err := range errs {
		if err != nil || len(errs) == 0 {
			return err
		}
	}
	return nil
}

// wipe empties the firewall of this network namespace.
func wipe(tb testing.TB, p *portAuthority) {
	for _, w := range p.firewalls {
		for _, args := range [][]string{{"-F"}, {"-X"}} {
			if out, err := exec.Command(w.program, args...).CombinedOutput(); err != nil {
				tb.Fatalf("%s %v: %v: %s", w.program, args, err, out)
			}
		}
	}
}

func timed(tb testing.TB, do func() error) time.Duration {
	start := time.Now()
	if err := do(); err != nil {
		tb.Fatal(err)
	}
	return time.Since(start)
}

func median(all []time.Duration) time.Duration {
	slices.Sort(all)
	return all[len(all)/2]
}

func ms(d time.Duration) float64 { return float64(d.Microseconds()) / 1000 }

var _ converge.Step = Restore{}
