//go:build linux

package main

import (
	"bytes"
	"context"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
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
	p := &authority{walls: []*firewall{newFirewall(V4, backend), newFirewall(V6, backend)}}
	app := intent.App{Name: "slug", Created: 1}
	for port := 1; port <= 10000; port++ {
		app.Deploy.Ports = append(app.Deploy.Ports, intent.Port{First: port, Last: port, Protocol: intent.TCP})
	}
	node := intent.Node{Name: "web1", Apps: []intent.App{app}}
	want := map[intent.Name][]Rule{"slug": rulesOf(app.Deploy.Ports, V4)}
	var open, rawOpen, idle, rawIdle, steady []time.Duration
	for b.Loop() {
		wipe(b, p)
		rawOpen = append(rawOpen, timed(b, func() error { return bothRaw(p, input(want, 0), "-restore", "--noflush", "-w", "5") }))
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
func pass(p *authority, node intent.Node, steps int) error {
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

func bothRaw(p *authority, stdin, end string, args ...string) error {
	return beside(len(p.walls), func(i int) error {
		cmd := exec.Command(p.walls[i].program+end, args...)
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
func wipe(tb testing.TB, p *authority) {
	for _, w := range p.walls {
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

// BenchmarkIntentToRule measures the time from the end of a PUT to the first connection that comes through, with the
// agent and with the least that could do it: one blocking query and one iptables-restore for each family.
func BenchmarkIntentToRule(b *testing.B) {
	needFirewall(b)
	socket := strings.TrimPrefix(startConsul(b), "unix://")
	for _, backend := range backends {
		b.Run(strings.TrimPrefix(backend, "iptables-"), func(b *testing.B) {
			b.Setenv("XTABLES_LOCKFILE", filepath.Join(b.TempDir(), "lock"))
			root := fmt.Sprintf("bench-%s-%d/", backend, time.Now().UnixNano())
			k := newKV(socket, root+"intent/")
			k.put(b, "nodes/web1/slug", `{"cluster":"production"}`)
			k.put(b, "clusters/slug/production/config", `{}`)
			p := &authority{walls: []*firewall{newFirewall(V4, backend), newFirewall(V6, backend)}}
			wipe(b, p)
			defer wipe(b, p)
			if out, err := exec.Command(backend, "-A", "INPUT", "-p", "tcp", "--syn", "--dport", "20000:29999", "-j", "REJECT", "--reject-with", "tcp-reset").CombinedOutput(); err != nil {
				b.Fatalf("%v: %s", err, out)
			}
			raw := samples(b, k, func() func() { return k.rawAgent(b, p) })
			wipeOwn(b, p)
			with := samples(b, k, func() func() { return startAgent(b, backend, root) })
			b.ReportMetric(ms(median(with)), "agent-ms")
			b.ReportMetric(ms(median(raw)), "raw-ms")
			b.ReportMetric(ms(median(with)-median(raw)), "overhead-ms")
			b.ReportMetric(0, "ns/op")
		})
	}
}

// samples lets start work and measures 20 changes, far enough apart that no watch is asked to slow down.
func samples(b *testing.B, k *kvs, start func() (stop func())) (all []time.Duration) {
	port := 20000
	k.put(b, deployKey, deploy(port))
	stop := start()
	defer stop()
	listenAndReach(b, port)
	for range 20 {
		time.Sleep(800 * time.Millisecond)
		port++
		l := listen(b, port)
		if conn, err := net.Dial("tcp", l.Addr().String()); err == nil {
			conn.Close()
			b.Fatalf("port %d is open before it was asked for", port)
		}
		k.put(b, deployKey, deploy(port))
		began := time.Now()
		reach(b, l)
		all = append(all, time.Since(began))
	}
	return all
}

const deployKey = "clusters/slug/production/deploy_config"

func deploy(port int) string { return fmt.Sprintf(`{"basedir":"/srv/slug","ports":[%d]}`, port) }

func listen(b *testing.B, port int) net.Listener {
	l, err := net.Listen("tcp", fmt.Sprintf("127.0.0.1:%d", port))
	if err != nil {
		b.Fatal(err)
	}
	return l
}

func listenAndReach(b *testing.B, port int) { reach(b, listen(b, port)) }

// reach dials until a connection comes about.
func reach(b *testing.B, l net.Listener) {
	defer l.Close()
	for deadline := time.Now().Add(30 * time.Second); ; time.Sleep(100 * time.Microsecond) {
		if conn, err := net.Dial("tcp", l.Addr().String()); err == nil {
			conn.Close()
			return
		}
		if time.Now().After(deadline) {
			b.Fatalf("%s is still closed after 30 s", l.Addr())
		}
	}
}

func startAgent(b *testing.B, backend, root string) (stop func()) {
	cmd := exec.Command("port-authority", "--iptables", backend, "--root", root, "--node", "web1", "--state-dir", b.TempDir())
	cmd.Env = append(os.Environ(), "CONSUL_HTTP_ADDR="+consulOnce.addr)
	var said bytes.Buffer
	cmd.Stderr, cmd.SysProcAttr = &said, &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	if err := startLocked(cmd); err != nil {
		b.Fatal(err)
	}
	return func() {
		_ = cmd.Process.Signal(syscall.SIGTERM)
		if err := cmd.Wait(); err != nil {
			b.Errorf("agent: %v: %s", err, said.String())
		}
	}
}

func wipeOwn(b *testing.B, p *authority) {
	for _, w := range p.walls {
		for _, args := range [][]string{{"-D", "INPUT", "-j", chainName}, {"-F", chainName}, {"-X", chainName}} {
			if out, err := exec.Command(w.program, args...).CombinedOutput(); err != nil {
				b.Fatalf("%s %v: %v: %s", w.program, args, err, out)
			}
		}
	}
}

// kvs speaks to the store with nothing but net/http.
type kvs struct {
	client *http.Client
	prefix string
}

func newKV(socket, prefix string) *kvs {
	dial := func(ctx context.Context, _, _ string) (net.Conn, error) {
		return (&net.Dialer{}).DialContext(ctx, "unix", socket)
	}
	return &kvs{client: &http.Client{Transport: &http.Transport{DialContext: dial}}, prefix: "http://consul/v1/kv/" + prefix}
}

func (k *kvs) put(b *testing.B, key, value string) {
	request, _ := http.NewRequest(http.MethodPut, k.prefix+key, strings.NewReader(value))
	response, err := k.client.Do(request)
	if err != nil {
		b.Fatal(err)
	}
	response.Body.Close()
}

// rawAgent watches one key and restores one chain in each family, until stopped.
func (k *kvs) rawAgent(b *testing.B, p *authority) (stop func()) {
	ctx, cancel := context.WithCancel(context.Background())
	var done sync.WaitGroup
	done.Go(func() {
		index, jumps := "0", 0
		for {
			request, _ := http.NewRequestWithContext(ctx, http.MethodGet, k.prefix+deployKey+"?wait=60s&index="+index, nil)
			response, err := k.client.Do(request)
			if err != nil {
				return
			}
			index = response.Header.Get("X-Consul-Index")
			var pairs []struct{ Value string }
			err = json.NewDecoder(response.Body).Decode(&pairs)
			response.Body.Close()
			if err != nil || len(pairs) != 1 {
				b.Errorf("raw watch: %v", err)
				return
			}
			value, _ := base64.StdEncoding.DecodeString(pairs[0].Value)
			var config struct{ Ports []int }
			_ = json.Unmarshal(value, &config)
			rules := map[intent.Name][]Rule{"slug": {{Port: span{intent.TCP, config.Ports[0], config.Ports[0]}}}}
			if err := bothRaw(p, input(rules, jumps), "-restore", "--noflush", "-w", "5"); err != nil {
				b.Errorf("raw restore: %v", err)
			}
			jumps = 1
		}
	})
	return func() { cancel(); done.Wait() }
}

var _ converge.Step = Restore{}
