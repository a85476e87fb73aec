package main

import (
	"context"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/platypus-platform/platypus/intent"
	"github.com/platypus-platform/platypus/store"
	"github.com/platypus-platform/platypus/store/certtest"
	"github.com/platypus-platform/platypus/store/embedtest"
)

// flags name the certificate that an authority issued for a name, and ca as the file of the authority that is believed.
func flags(a *certtest.Authority, name, ca string) []string {
	cert, key := a.Files(name)
	return []string{"--tls-cert", cert, "--tls-key", key, "--tls-ca", ca}
}

// linkCutter is a link that is cut after so many bytes of either direction, again and again.
type linkCutter struct {
	address string
	after   int64 // bytes of one connection
	cuts    atomic.Int64
	passed  atomic.Int64
}

func newLinkCutter(t testing.TB, to string, after int64) *linkCutter {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { listener.Close() })
	c := &linkCutter{address: listener.Addr().String(), after: after}
	go func() {
		for {
			near, err := listener.Accept()
			if err != nil {
				return
			}
			far, err := net.Dial("tcp", to)
			if err != nil {
				near.Close()
				continue
			}
			go c.pass(near, far)
		}
	}()
	return c
}

// pass passes on until one side ends or has sent enough, which is a cut: what is on its way is lost.
func (c *linkCutter) pass(near, far net.Conn) {
	ended := make(chan bool, 2)
	one := func(to, from net.Conn) {
		n, _ := io.Copy(to, io.LimitReader(from, c.after))
		c.passed.Add(n)
		ended <- n == c.after
	}
	go one(near, far)
	go one(far, near)
	if <-ended {
		c.cuts.Add(1)
		for _, conn := range []net.Conn{near, far} {
			_ = conn.(*net.TCPConn).SetLinger(0)
		}
	}
	near.Close()
	far.Close()
	<-ended
}

// here is where the labs are.
const here = "127.0.0.1"

// linkFixture is a node that takes blobs from who has a certificate, and the program beside it.
type linkFixture struct {
	testing.TB
	*certtest.Authority
	bin, root string
	env       []string
	store     *store.Store
	tree      intent.Tree
	at        string // host:port of --serve-tls
	plain     string
	agent     *exec.Cmd
}

func newLinkFixture(t testing.TB) *linkFixture {
	t.Helper()
	address := embedtest.Start(t)
	l := &linkFixture{TB: t, Authority: certtest.New(t), bin: binaries(t), at: vacant(t), plain: vacant(t)}
	l.Issue("n1", here, time.Hour)
	l.Issue("me", here, time.Hour)
	l.env = append(os.Environ(), "CONSUL_HTTP_ADDR="+address, "NO_COLOR=1", "PLATYPUS_SEED_SOCKET=")
	dir, err := os.MkdirTemp("", "lab-") // the path of a socket must be short
	if err != nil {
		t.Fatal(err)
	}
	said, err := os.Create(filepath.Join(dir, "log"))
	if err != nil {
		t.Fatal(err)
	}
	l.agent = exec.Command(filepath.Join(l.bin, "seed-placer"), append(flags(l.Authority, "n1", l.CA()), "--node", "n1", "--serve", l.plain, "--serve-tls", l.at, "--state-dir", dir, "--resync", "1s")...)
	l.agent.Env, l.agent.Stdout, l.agent.Stderr = append(l.env, "PLATYPUS_ROOT=lab"), said, said
	if err := l.agent.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = l.agent.Process.Kill()
		_ = l.agent.Wait()
		if log, _ := os.ReadFile(said.Name()); t.Failed() {
			t.Logf("n1 said:\n%s", log)
		}
		said.Close()
		_ = os.RemoveAll(dir)
	})
	if l.store, err = store.Open(store.Config{Address: address}); err == nil {
		l.tree, err = intent.ParseRoot("elsewhere")
	}
	if err != nil {
		t.Fatal(err)
	}
	for begin := time.Now(); ; time.Sleep(20 * time.Millisecond) {
		conn, err := net.Dial("tcp", l.at)
		if log, _ := os.ReadFile(said.Name()); err == nil {
			conn.Close()
			break
		} else if time.Since(begin) > hang {
			t.Fatalf("n1 does not listen: %v: %s", err, log)
		}
	}
	return l
}

// run runs the program below a root and returns what it said, and the most memory that it had, in MiB.
func (l *linkFixture) run(root string, args ...string) (out, errs string, peak float64, err error) {
	var o, e strings.Builder
	cmd := exec.Command(filepath.Join(l.bin, "platypus"), args...)
	cmd.Env, cmd.Stdout, cmd.Stderr = append(l.env, "PLATYPUS_ROOT="+root), &o, &e
	if err := cmd.Start(); err != nil {
		l.Fatal(err)
	}
	ended := make(chan error, 1)
	go func() { ended <- cmd.Wait() }()
	for {
		select {
		case err = <-ended:
			return o.String(), e.String(), peak, err
		case <-time.After(10 * time.Millisecond):
			peak = max(peak, peakOf(cmd.Process.Pid))
		}
	}
}

// peakOf is the most memory that a process has had, in MiB; 0 where there is no /proc, or no process any more.
func peakOf(pid int) float64 {
	data, _ := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	for line := range strings.SplitSeq(string(data), "\n") {
		var kb float64
		if n, _ := fmt.Sscanf(line, "VmHWM: %f kB", &kb); n == 1 {
			return kb / 1024
		}
	}
	return 0
}

// peaks are the most memory of the agent and of its worker.
func (l *linkFixture) peaks() (agent, worker float64) {
	children, _ := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/children", l.agent.Process.Pid))
	for _, list := range children {
		data, _ := os.ReadFile(list)
		for _, field := range strings.Fields(string(data)) {
			var pid int
			_, _ = fmt.Sscan(field, &pid)
			worker = max(worker, peakOf(pid))
		}
	}
	return peakOf(l.agent.Process.Pid), worker
}

// held says, below the root "elsewhere", that nodes at these addresses hold a blob.
func (l *linkFixture) held(digest string, addresses ...string) {
	l.Helper()
	for i, address := range addresses {
		node := intent.Name(fmt.Sprintf("h%d", i))
		err := l.store.Put(context.Background(), l.tree.Host(node), []byte(fmt.Sprintf(`{"address":%q}`, address)))
		if err == nil {
			err = l.store.Put(context.Background(), l.tree.Holder(intent.Name(digest), node), []byte(`{"size":1}`))
		}
		if err != nil {
			l.Fatal(err)
		}
	}
}
