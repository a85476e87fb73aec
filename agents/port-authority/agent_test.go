//go:build linux

package main

import (
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/testscript"

	"github.com/platypus-platform/platypus/agents/internal/testhost"
	"github.com/platypus-platform/platypus/store/consultest"
)

// inside says that this process already is in a network of its own.
const inside = "PORT_AUTHORITY_TEST_NETWORK"

// TestMain runs the tests in a network and a mount namespace of their own, which end with the process: whatever a test
// does to a firewall, this host's is out of its reach.
func TestMain(m *testing.M) {
	if strings.HasSuffix(os.Args[0], ".test") && os.Geteuid() == 0 && os.Getenv(inside) == "" {
		if code, ok := again(); ok {
			os.Exit(code)
		}
	}
	testscript.Main(stopConsul{m}, map[string]func(){"port-authority": main, "probe": probe, "raw-port-authority": rawMain, "reach": connectTo, "answer": answer})
}

// again runs this program once more in namespaces of its own.
func again() (code int, ok bool) {
	self := exec.Command("/proc/self/exe", os.Args[1:]...)
	self.Args[0] = os.Args[0]
	self.Stdin, self.Stdout, self.Stderr = os.Stdin, os.Stdout, os.Stderr
	self.Env = append(os.Environ(), inside+"=1")
	self.SysProcAttr = &syscall.SysProcAttr{Cloneflags: syscall.CLONE_NEWNET | syscall.CLONE_NEWNS, Pdeathsig: syscall.SIGKILL}
	if err := self.Start(); err != nil {
		fmt.Fprintln(os.Stderr, "no namespaces, so the tests of a real firewall skip themselves:", err)
		return 0, false
	}
	_ = self.Wait()
	return self.ProcessState.ExitCode(), true
}

// needFirewall skips a test that cannot have a firewall of its own.
func needFirewall(t testing.TB) {
	if os.Getenv(inside) == "" {
		t.Skip("skipped: needs root and a network namespace, for it changes a real firewall")
	}
	if _, err := exec.LookPath("iptables-restore"); err != nil {
		t.Skip("skipped: iptables is not installed")
	}
}

// TestStories runs each story of testdata with each back-end of iptables.
func TestStories(t *testing.T) {
	needFirewall(t)
	consul := startConsul(t)
	for _, backend := range []string{"nft", "legacy"} {
		t.Run(backend, func(t *testing.T) {
			testscript.Run(t, testscript.Params{
				Dir: "testdata", ContinueOnError: false,
				Setup: func(env *testscript.Env) error { return network(env, backend, consul) },
				Cmds:  map[string]func(*testscript.TestScript, bool, []string){"until": until, "same": same, "kv": kv, "wire": wire, "stale": stale(consul, testhost.NewStale(t, consul))},
				Condition: func(name string) (bool, error) {
					return name == backend || name == "faults" && os.Getenv("PLATYPUS_FAULTS") != "", nil
				},
			})
		})
	}
}

// network gives a story a network namespace, a lock of its own for iptables, and program "ns" to enter it, and
// "iptables"
func network(env *testscript.Env, backend, consul string) error {
	holder := exec.Command("sleep", "infinity")
	holder.SysProcAttr = &syscall.SysProcAttr{Cloneflags: syscall.CLONE_NEWNET, Pdeathsig: syscall.SIGKILL}
	if err := startLocked(holder); err != nil {
		return err
	}
	env.Defer(func() { _ = holder.Process.Kill(); _ = holder.Wait() })
	bin := filepath.Join(env.WorkDir, ".bin")
	if err := os.Mkdir(bin, 0o755); err != nil {
		return err
	}
	in := fmt.Sprintf("#!/bin/sh\nexec nsenter --net=/proc/%d/ns/net \"$@\"\n", holder.Process.Pid)
	if err := os.WriteFile(filepath.Join(bin, "ns"), []byte(in), 0o755); err != nil {
		return err
	}
	for _, name := range []string{"iptables", "ip6tables"} {
		for _, end := range []string{"", "-save", "-restore"} {
			real, err := exec.LookPath(name + "-" + backend + end)
			if err != nil {
				return err
			}
			if err := os.Symlink(real, filepath.Join(bin, name+end)); err != nil {
				return err
			}
		}
	}
	env.Setenv("PATH", bin+":"+env.Getenv("PATH"))
	env.Setenv("XTABLES_LOCKFILE", filepath.Join(env.WorkDir, ".lock"))
	env.Setenv("CONSUL_HTTP_ADDR", consul)
	env.Setenv("CONSUL", consul) // the store itself, whatever is put before it
	env.Setenv("PLATYPUS_ROOT", fmt.Sprintf("test-%d-%d/", os.Getpid(), holder.Process.Pid))
	env.Setenv("PLATYPUS_NODE", "web1")
	env.Setenv("PLATYPUS_STATE_DIR", filepath.Join(env.WorkDir, ".state"))
	env.Setenv("BACKEND", backend)
	return exec.Command(filepath.Join(bin, "ns"), "ip", "link", "set", "lo", "up").Run()
}

// startLocked starts a program that is to end with this one. Pdeathsig goes by the thread, so one is kept for it.
func startLocked(cmd *exec.Cmd) error {
	started := make(chan error)
	go func() {
		runtime.LockOSThread()
		started <- cmd.Start()
		select {}
	}()
	return <-started
}

// until runs a command until it succeeds ("!": fails).
func until(ts *testscript.TestScript, neg bool, args []string) {
	for deadline := time.Now().Add(testhost.HangLimit); ; time.Sleep(20 * time.Millisecond) {
		err := ts.Exec(args[0], args[1:]...)
		if (err != nil) == neg {
			return
		}
		if time.Now().After(deadline) {
			ts.Fatalf("still not so after %s: %v: %v", testhost.HangLimit, args, err)
		}
	}
}

// same says that two files hold the same but for lines about chain PLATYPUS-INPUT, counters and dates.
func same(ts *testscript.TestScript, neg bool, args []string) {
	one, two := foreign(ts.ReadFile(args[0])), foreign(ts.ReadFile(args[1]))
	if (one == two) == neg {
		ts.Fatalf("not so:\n%s\n---\n%s", one, two)
	}
}

// foreign returns what is somebody else's in the output of iptables-save, byte by byte.
func foreign(saved string) string {
	var lines []string
	for line := range strings.Lines(saved) {
		switch {
		case strings.HasPrefix(line, "#"), strings.HasPrefix(line, ":"+chainName+" "), strings.HasPrefix(line, "-A "+chainName+" "), line == "-A "+jump+"\n":
		case strings.HasPrefix(line, ":"):
			chain, _, _ := strings.Cut(line, " [") // packets are counted here while a story runs
			lines = append(lines, chain+"\n")
		default:
			lines = append(lines, line)
		}
	}
	return strings.Join(lines, "")
}

// kv puts or deletes keys below intent: kv put KEY JSON, kv delete KEY.
func kv(ts *testscript.TestScript, neg bool, args []string) {
	key := ts.Getenv("PLATYPUS_ROOT") + "intent/" + args[1]
	if err := ts.Exec("consul", append([]string{"kv", args[0], key}, args[2:]...)...); (err != nil) != neg {
		ts.Fatalf("kv %v: %v", args, err)
	}
}

// stale puts the store behind something that can answer with what it knew before: stale fresh, stale old, stale split;
// stale off lets it be asked without that.
func stale(consul string, s *testhost.Stale) func(*testscript.TestScript, bool, []string) {
	return func(ts *testscript.TestScript, _ bool, args []string) {
		if args[0] == "off" {
			ts.Setenv("CONSUL_HTTP_ADDR", consul)
			return
		}
		s.Be(args[0])
		ts.Setenv("CONSUL_HTTP_ADDR", s.Address)
	}
}

var consulOnce struct {
	sync.Mutex
	cmd  *exec.Cmd
	dir  string
	addr string
}

// stopConsul runs the tests and then ends the Consul that they shared.
type stopConsul struct{ m *testing.M }

// Run implements testscript.TestingM.
func (s stopConsul) Run() int {
	defer func() {
		if consulOnce.cmd != nil {
			_ = consulOnce.cmd.Process.Kill()
			_ = consulOnce.cmd.Wait()
			_ = os.RemoveAll(consulOnce.dir)
		}
	}()
	return s.m.Run()
}

// startConsul starts a real Consul once for all tests and returns its address: a socket in the file system, which can
// be reached from every network namespace.
func startConsul(t testing.TB) string {
	consulOnce.Lock()
	defer consulOnce.Unlock()
	if consulOnce.addr != "" {
		return consulOnce.addr
	}
	program := consultest.Need(t)
	os.Setenv("PATH", filepath.Dir(program)+":"+os.Getenv("PATH"))
	if out, err := exec.Command("ip", "link", "set", "lo", "up").CombinedOutput(); err != nil {
		t.Skipf("skipped: ip link: %v: %s", err, out)
	}
	dir, err := os.MkdirTemp("", "port-authority-consul")
	if err != nil {
		t.Fatal(err)
	}
	socket := filepath.Join(dir, "http.sock")
	cmd := exec.Command(program, "agent", "-dev", "-bind=127.0.0.1", "-log-level=err",
		"-hcl=ports { grpc=-1 grpc_tls=-1 dns=-1 } addresses { http=\"unix://"+socket+"\" }")
	cmd.Stderr, cmd.SysProcAttr = os.Stderr, &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	if err := startLocked(cmd); err != nil {
		t.Fatal(err)
	}
	consulOnce.cmd, consulOnce.dir, consulOnce.addr = cmd, dir, "unix://"+socket
	for deadline := time.Now().Add(time.Minute); ; time.Sleep(50 * time.Millisecond) {
		put := exec.Command(program, "kv", "put", "ready", "1")
		put.Env = append(os.Environ(), "CONSUL_HTTP_ADDR="+consulOnce.addr)
		if out, err := put.CombinedOutput(); err == nil {
			return consulOnce.addr
		} else if time.Now().After(deadline) {
			t.Fatalf("consul does not answer: %v: %s", err, out)
		}
	}
}

// probe is a program that reports whether a TCP connection to PORT on the loopback address comes about: probe 127.0.0.1
// 1212. It listens there itself, so only a firewall can be in the way. A third argument says how long it tries, for a
// connection that is not to come about.
func probe() {
	port, _ := strconv.Atoi(os.Args[2])
	l, err := net.Listen("tcp", net.JoinHostPort(os.Args[1], strconv.Itoa(port)))
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(2)
	}
	limit := testhost.HangLimit
	if len(os.Args) > 3 {
		if limit, err = time.ParseDuration(os.Args[3]); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(2)
		}
	}
	conn, err := net.DialTimeout("tcp", l.Addr().String(), limit)
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	conn.Close()
}
