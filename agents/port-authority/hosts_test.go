//go:build linux

package main

import (
	"fmt"
	"net"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/testscript"

	"github.com/platypus-platform/platypus/agents/internal/testhost"
	"github.com/platypus-platform/platypus/agents/port-authority/netfilter"
	"github.com/platypus-platform/platypus/intent"
)

// shortly is how long a connection is tried that a firewall drops. One that comes about takes far less.
const shortly = time.Second

// connectTo is program "reach" that connects from where it runs: reach ADDRESS PORT tcp|udp [LIMIT]. With udp it waits
// for an echo.
func connectTo() {
	limit := testhost.HangLimit
	if len(os.Args) > 4 {
		limit, _ = time.ParseDuration(os.Args[4])
	}
	conn, err := net.DialTimeout(os.Args[3], net.JoinHostPort(os.Args[1], os.Args[2]), limit)
	if err == nil && os.Args[3] == "udp" {
		_ = conn.SetDeadline(time.Now().Add(limit))
		if _, err = conn.Write([]byte("x")); err == nil {
			_, err = conn.Read(make([]byte, 1))
		}
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

// answer is a program that accepts connections to a TCP port until it is killed: answer PORT.
func answer() {
	l, err := net.Listen("tcp", ":"+os.Args[1])
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	for {
		if conn, err := l.Accept(); err == nil {
			conn.Close()
		}
	}
}

// connect lets a network namespace have eth0 with 10.9.0.1 and fd09::1, at the other end of which a new one is a client
// with .2, whose process is returned. in enters the namespace of the host.
func connect(in ...string) (*exec.Cmd, error) {
	client := exec.Command("sleep", "infinity")
	client.SysProcAttr = &syscall.SysProcAttr{Cloneflags: syscall.CLONE_NEWNET, Pdeathsig: syscall.SIGKILL}
	if err := startLocked(client); err != nil {
		return nil, err
	}
	out := []string{"nsenter", fmt.Sprintf("--net=/proc/%d/ns/net", client.Process.Pid)}
	for _, c := range [][]string{
		append(in, "ip", "link", "add", "eth0", "type", "veth", "peer", "name", "eth1", "netns", strconv.Itoa(client.Process.Pid)),
		append(in, "ip", "addr", "add", "10.9.0.1/24", "dev", "eth0"),
		append(in, "ip", "addr", "add", "fd09::1/64", "dev", "eth0", "nodad"),
		append(in, "ip", "link", "set", "eth0", "up"),
		append(in, "ip", "link", "set", "lo", "up"),
		append(out, "ip", "addr", "add", "10.9.0.2/24", "dev", "eth1"),
		append(out, "ip", "addr", "add", "fd09::2/64", "dev", "eth1", "nodad"),
		append(out, "ip", "link", "set", "eth1", "up"),
	} {
		if text, err := exec.Command(c[0], c[1:]...).CombinedOutput(); err != nil {
			return client, fmt.Errorf("%v: %w: %s", c, err, text)
		}
	}
	return client, nil
}

// wire is a command of stories: it makes the client, and program "client" to enter its network.
func wire(ts *testscript.TestScript, _ bool, _ []string) {
	client, err := connect(ts.MkAbs(".bin/ns"))
	if client != nil {
		ts.Defer(func() { _ = client.Process.Kill(); _ = client.Wait() })
	}
	ts.Check(err)
	text := fmt.Sprintf("#!/bin/sh\nexec nsenter --net=/proc/%d/ns/net \"$@\"\n", client.Process.Pid)
	ts.Check(os.WriteFile(ts.MkAbs(".bin/client"), []byte(text), 0o755))
}

// rulesets are what hosts have, each with whether a client gets through to 8080/tcp and to 8080/udp.
var rulesets = []struct {
	name, text string
	tcp, udp   bool
}{
	{"nothing", ``, true, true},
	{"policy drop, as CIS asks for", input0(`policy drop; ct state established,related accept; iif lo accept; tcp dport 22 accept;`), false, false},
	{"policy accept", input0(`policy accept; tcp dport 22 accept;`), true, true},
	{"accepted by port", input0(`policy drop; ct state established,related accept; tcp dport 8080 accept;`), true, false},
	{"accepted by a set", input0(`policy drop; tcp dport { 22, 80, 8080 } accept;`), true, false},
	{"not in the set", input0(`policy drop; tcp dport { 22, 80, 443 } accept;`), false, false},
	{"accepted by a range", input0(`policy drop; tcp dport 8000-8100 accept; udp dport 9000-9100 accept;`), true, false},
	{"accepted by a set of ranges", input0(`policy drop; th dport { 22, 8000-8100 } accept;`), true, true},
	{"not in the ranges", input0(`policy drop; th dport { 22, 8081-8100, 7000-8079 } accept;`), false, false},
	{"accepted by interface", input0(`policy drop; iifname "eth0" accept;`), true, true},
	{"accepted by the beginning of an interface's name", input0(`policy drop; iifname "eth*" accept;`), true, true},
	{"other interfaces", input0(`policy drop; iifname { "lo", "eth7" } accept;`), false, false},
	{"verdict maps", `table inet f { chain web { accept; } chain input { type filter hook input priority 0; policy drop;
		ct state vmap { established : accept, related : accept, invalid : drop }; tcp dport vmap { 22 : accept, 8080 : jump web }; } }`, true, false},
	{"a verdict map that drops", input0(`policy accept; tcp dport vmap { 8080 : drop, 22 : accept };`), false, true},
	{"concatenated", input0(`policy drop; meta l4proto . th dport { tcp . 8080, udp . 53 } accept;`), true, false},
	{"concatenated ranges", input0(`policy drop; ip saddr . tcp dport { 10.0.0.0/8 . 8000-8100 } accept;`), true, false},
	{"rejected at the end", input0(`policy accept; tcp dport 22 accept; reject with icmpx admin-prohibited;`), false, false},
	{"goto and return", `table inet f { chain zone { tcp dport 22 accept; return; } chain input { type filter hook input priority 10; policy accept;
		iifname "eth0" goto zone; drop; } }`, true, true},
	{"jump and fall", `table inet f { chain zone { tcp dport 22 accept; } chain input { type filter hook input priority 10; policy accept;
		iifname "eth0" jump zone; drop; } }`, false, false},
	{"new connections dropped", input0(`policy accept; tcp flags syn / fin,syn,rst,ack ct state new drop;`), false, true},
	{"in the other family", `table ip6 f { chain input { type filter hook input priority 0; policy drop; } }`, true, true},
	{"in this family", `table ip f { chain input { type filter hook input priority 0; policy drop; } }`, false, false},
	{"before input", `table inet f { chain early { type filter hook prerouting priority -300; policy accept; tcp dport 8080 drop; } }`, false, true},
	{"on another hook", `table inet f { chain f { type filter hook forward priority 0; policy drop; } }`, true, true},
	{"only neighbours", input0(`policy drop; ip saddr 10.9.0.0/24 accept;`), true, true},
	{"a ban list", `table inet f { set bad { type ipv4_addr; flags interval; elements = { 192.0.2.0/24, 198.51.100.7 } }
		chain input { type filter hook input priority 0; policy accept; ip saddr @bad drop; } }`, true, true},
	{"the whole world but one", input0(`policy accept; ip saddr != 192.0.2.1 drop;`), false, false},
	{"a limit", input0(`policy drop; tcp dport 8080 limit rate 100/second accept;`), true, false},
	{"no route back", input0(`policy accept; fib saddr . iif oif missing drop;`), true, true},
	{"addresses of this host", input0(`policy accept; fib daddr type != local drop; fib daddr type local th dport 8080 accept; drop;`), true, true},
	{"a counter and a log", input0(`policy drop; counter log prefix "x" tcp dport 8080 counter accept; log prefix "dropped";`), true, false},
	{"a port as a number", input0(`policy drop; meta l4proto tcp th dport >= 8000 th dport < 9000 accept;`), true, false},
	{"fragments of a net", input0(`policy drop; ip saddr 10.8.0.0/13 ip protocol tcp accept;`), true, false},
}

func input0(rules string) string {
	return "table inet f { chain input { type filter hook input priority 0; " + rules + " } }"
}

// TestVerdict_AgreesWithPackets: for each ruleset, what is said of a port is what happens to a client of another
// network.
func TestVerdict_AgreesWithPackets(t *testing.T) {
	needFirewall(t)
	if _, err := exec.LookPath("nft"); err != nil {
		t.Skip("skipped: nftables is not installed")
	}
	client, err := connect("env")
	if client != nil {
		defer func() { _ = client.Process.Kill(); _ = client.Wait() }()
	}
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = exec.Command("ip", "link", "del", "eth0").Run() }()
	l, err := net.Listen("tcp4", ":8080")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	echo := echoUDP(t)
	defer echo.Close()
	for _, c := range rulesets {
		t.Run(c.name, func(t *testing.T) {
			load := exec.Command("nft", "-f", "-")
			load.Stdin = strings.NewReader("flush ruleset\n" + strings.NewReplacer("} }", "}\n}", "} chain", "}\nchain").Replace(c.text) + "\n")
			if out, err := load.CombinedOutput(); err != nil {
				t.Fatalf("%v: %s", err, out)
			}
			defer func() { _ = exec.Command("nft", "flush", "ruleset").Run() }()
			for protocol, through := range map[intent.Protocol]bool{intent.TCP: c.tcp, intent.UDP: c.udp} {
				args := []string{fmt.Sprintf("--net=/proc/%d/ns/net", client.Process.Pid), "reach", "10.9.0.1", "8080", string(protocol)}
				if !through {
					args = append(args, shortly.String())
				}
				if err := exec.Command("nsenter", args...).Run(); (err == nil) != through {
					t.Errorf("%s: a client gets through: %v, want %v", protocol, err == nil, through)
				}
				rules, err := netfilter.Read(false)
				if err != nil {
					t.Fatal(err)
				}
				r := Rule{Port: portRange{protocol, 8080, 8080}}
				if said := dropped(r, ingressesFor(V4, r.Source), rules); (said == nil) != through {
					t.Errorf("%s: said to be dropped by %+v, want through: %v", protocol, said, through)
				}
			}
		})
	}
}

func echoUDP(t *testing.T) net.PacketConn {
	c, err := net.ListenPacket("udp4", ":8080")
	if err != nil {
		t.Fatal(err)
	}
	go func() {
		for b := make([]byte, 100); ; {
			n, from, err := c.ReadFrom(b)
			if err != nil {
				return
			}
			_, _ = c.WriteTo(b[:n], from)
		}
	}()
	return c
}
