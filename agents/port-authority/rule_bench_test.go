//go:build linux

package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/platypus-platform/platypus/intent"
)

// pairs is how often each is measured, and pause what lies between two changes: no watch is then asked to slow down,
// and what the agent does after a port is open is over.
const (
	pairs = 30
	pause = 400 * time.Millisecond
)

// BenchmarkIntentToRule measures the time from the end of a PUT to the first connection that comes through, with the
// agent and with the least that could do it: one blocking query and one iptables-restore for each family. Each is a
// process in a network of its own, and they are measured in turn.
func BenchmarkIntentToRule(b *testing.B) {
	needFirewall(b)
	socket := strings.TrimPrefix(startConsul(b), "unix://")
	for _, backend := range backends {
		b.Run(strings.TrimPrefix(backend, "iptables-"), func(b *testing.B) { intentToRule(b, backend, socket) })
	}
}

func intentToRule(b *testing.B, backend, socket string) {
	b.Setenv("XTABLES_LOCKFILE", filepath.Join(b.TempDir(), "lock"))
	root := fmt.Sprintf("bench-%s-%d", backend, time.Now().UnixNano())
	raw := &change{kvs: newKV(socket, root+"-raw/"), key: "ports", port: 20000, net: newNet(b, backend)}
	ours := &change{kvs: newKV(socket, root+"/intent/"), key: "clusters/slug/production/deploy_config", port: 20000, net: newNet(b, backend)}
	ours.put(b, "nodes/web1/slug", `{"cluster":"production"}`)
	ours.put(b, "clusters/slug/production/config", `{}`)
	raw.begin(b, "raw-port-authority", backend, socket, raw.prefix+raw.key)
	ours.begin(b, "port-authority", "--iptables", backend, "--root", root+"/", "--node", "web1", "--state-dir", b.TempDir())
	var with, without []time.Duration
	for range pairs {
		without = append(without, raw.next(b))
		with = append(with, ours.next(b))
	}
	b.ReportMetric(ms(median(with)), "agent-ms")
	b.ReportMetric(ms(median(without)), "raw-ms")
	b.ReportMetric(ms(median(with)-median(without)), "overhead-ms")
	b.ReportMetric(0, "ns/op")
}

// netns is a network namespace in which a range of ports is closed.
type netns struct{ path string }

func newNet(b *testing.B, backend string) netns {
	holder := exec.Command("sleep", "infinity")
	holder.SysProcAttr = &syscall.SysProcAttr{Cloneflags: syscall.CLONE_NEWNET, Pdeathsig: syscall.SIGKILL}
	if err := startLocked(holder); err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { _ = holder.Process.Kill(); _ = holder.Wait() })
	n := netns{fmt.Sprintf("/proc/%d/ns/net", holder.Process.Pid)}
	for _, args := range [][]string{
		{"ip", "link", "set", "lo", "up"},
		{backend, "-A", "INPUT", "-p", "tcp", "--syn", "--dport", "20000:29999", "-j", "REJECT", "--reject-with", "tcp-reset"},
	} {
		if out, err := n.command(args[0], args[1:]...).CombinedOutput(); err != nil {
			b.Fatalf("%v: %v: %s", args, err, out)
		}
	}
	return n
}

func (n netns) command(program string, args ...string) *exec.Cmd {
	return exec.Command("nsenter", append([]string{"--net=" + n.path, program}, args...)...)
}

// within does something on a thread that is in the namespace, and ends with it.
func (n netns) within(b *testing.B, do func() error) {
	done := make(chan error)
	go func() {
		runtime.LockOSThread()
		f, err := os.Open(n.path)
		if err == nil {
			err = unix.Setns(int(f.Fd()), unix.CLONE_NEWNET)
			f.Close()
		}
		if err == nil {
			err = do()
		}
		done <- err
	}()
	if err := <-done; err != nil {
		b.Fatal(err)
	}
}

// change moves an open port on by one, again and again, for somebody in a network of their own who follows key.
type change struct {
	*kvs
	key  string
	port int
	net  netns
}

// begin starts who follows it and waits until the first port is open.
func (c *change) begin(b *testing.B, program string, args ...string) {
	c.put(b, c.key, deploy(c.port))
	cmd := c.net.command(program, args...)
	cmd.Env = append(os.Environ(), "CONSUL_HTTP_ADDR="+consulOnce.addr)
	var said bytes.Buffer
	cmd.Stderr, cmd.SysProcAttr = &said, &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	if err := startLocked(cmd); err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() {
		_ = cmd.Process.Signal(syscall.SIGTERM)
		if err := cmd.Wait(); err != nil {
			b.Errorf("%s: %v: %s", program, err, said.String())
		}
	})
	c.net.within(b, func() error {
		l, err := c.listen()
		if err == nil {
			err = reach(l)
		}
		return err
	})
}

// next returns how long it takes until the next port is open.
func (c *change) next(b *testing.B) (took time.Duration) {
	time.Sleep(pause)
	c.port++
	c.net.within(b, func() error {
		l, err := c.listen()
		if err != nil {
			return err
		}
		if conn, err := net.Dial("tcp", l.Addr().String()); err == nil {
			conn.Close()
			return fmt.Errorf("port %d is open before it was asked for", c.port)
		}
		c.put(b, c.key, deploy(c.port))
		began := time.Now()
		err = reach(l)
		took = time.Since(began)
		return err
	})
	return took
}

func deploy(port int) string { return fmt.Sprintf(`{"basedir":"/srv/slug","ports":[%d]}`, port) }

func (c *change) listen() (net.Listener, error) {
	return net.Listen("tcp", fmt.Sprintf("127.0.0.1:%d", c.port))
}

// reach dials until a connection comes about.
func reach(l net.Listener) error {
	defer l.Close()
	for deadline := time.Now().Add(30 * time.Second); ; time.Sleep(100 * time.Microsecond) {
		if conn, err := net.Dial("tcp", l.Addr().String()); err == nil {
			return conn.Close()
		}
		if time.Now().After(deadline) {
			return fmt.Errorf("%s is still closed after 30 s", l.Addr())
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

// rawMain is a program that watches one key and restores one chain in each family: raw-port-authority BACKEND SOCKET
// URL.
func rawMain() {
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM)
	defer stop()
	p := &portAuthority{firewalls: []*firewall{newFirewall(V4, os.Args[1]), newFirewall(V6, os.Args[1])}}
	k, index, jumps := newKV(os.Args[2], ""), "0", 0
	for ctx.Err() == nil {
		port, next, err := k.wait(ctx, os.Args[3], index)
		if err == nil {
			rules := map[intent.Name][]Rule{"slug": {{Port: portRange{intent.TCP, port, port}}}}
			err = bothRaw(p, input(rules, jumps, "web1"), "-restore", "--noflush", "-w", "5")
		}
		if err != nil && ctx.Err() == nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		index, jumps = next, 1
	}
}

// wait returns the first port of a deploy_config once it is newer than index.
func (k *kvs) wait(ctx context.Context, url, index string) (port int, next string, err error) {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, url+"?wait=60s&index="+index, nil)
	if err != nil {
		return 0, "", err
	}
	response, err := k.client.Do(request)
	if err != nil {
		return 0, "", err
	}
	defer response.Body.Close()
	var pairs []struct{ Value []byte }
	if err := json.NewDecoder(response.Body).Decode(&pairs); err != nil || len(pairs) != 1 {
		return 0, "", fmt.Errorf("%d pairs: %w", len(pairs), err)
	}
	var config struct{ Ports []int }
	if err := json.Unmarshal(pairs[0].Value, &config); err != nil || len(config.Ports) == 0 {
		return 0, "", fmt.Errorf("%q: %w", pairs[0].Value, err)
	}
	return config.Ports[0], response.Header.Get("X-Consul-Index"), nil
}
