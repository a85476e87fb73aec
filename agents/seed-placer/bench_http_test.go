package main

import (
	"bytes"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"

	"github.com/platypus-platform/platypus/agents/internal/testhost"
	"github.com/platypus-platform/platypus/agents/seed-placer/fixture"
	"github.com/platypus-platform/platypus/store/embedtest"
)

// BenchmarkHTTP asks a seed for hello over HTTP, end to end, in turn with net/http alone, a few milliseconds each. All
// of it is on one processor, so that nothing has to be woken from the sleep of another. What counts is how much of the
// processor an answer takes: others may be there, too, and of a processor that is never left idle each gets a share that
// says nothing of its work.
func BenchmarkHTTP(b *testing.B) {
	module := fixture.Go(b, "reactor+")
	b.Setenv("GOMAXPROCS", "1")
	at := fmt.Sprintf("127.0.0.1:%d", testhost.FreePort(b))
	plain := exec.Command("plain-http", at)
	if err := plain.Start(); err != nil {
		b.Fatal(err)
	}
	defer func() { _ = plain.Process.Kill(); _ = plain.Wait() }()
	c := newCluster(b, embedtest.Start(b))
	m := c.start(1)
	c.publish(m, module, "checked", nil)
	c.publish(m, module, "trusted", map[string]any{"trusted": true})
	c.ready("checked", 1)
	c.ready("trusted", 1)
	kinds := []*crowd{
		newCrowd(b, "plain", plain.Process.Pid, at, "/"),
		newCrowd(b, "checked", m.cmd.Process.Pid, m.address, "/seed/checked/hello"),
		newCrowd(b, "trusted", m.cmd.Process.Pid, c.replicas("trusted")["n1"].Address, "/seed/trusted/hello"),
	}
	b.Cleanup(func() { pin(b, "0-"+strconv.Itoa(runtime.NumCPU()-1), os.Getpid()) })
	pin(b, "0", append(append(family(plain.Process.Pid), family(m.cmd.Process.Pid)...), os.Getpid())...)
	for b.Loop() {
		for range 50 {
			for _, kind := range kinds {
				kind.flood(b)
			}
		}
	}
	for _, kind := range kinds {
		b.ReportMetric(1/median(kind.took), kind.name+"-req/s")
		if kind != kinds[0] {
			b.ReportMetric(median(kinds[0].took)/median(kind.took), kind.name+"/plain")
		}
	}
	b.ReportMetric(0, "ns/op")
}

// pin keeps processes on some processors.
func pin(b *testing.B, processors string, pids ...int) {
	for _, pid := range pids {
		if out, err := exec.Command("taskset", "--all-tasks", "--cpu-list", "--pid", processors, strconv.Itoa(pid)).CombinedOutput(); err != nil {
			b.Skipf("cannot choose processors: %v: %s", err, out)
		}
	}
}

// crowd is 16 clients of one address, and as little of a client as will do: one thread that waits in the kernel.
type crowd struct {
	name    string
	conns   []uintptr
	servers []int // the process that was started, and its children
	request []byte
	answer  []byte    // of the length that every answer has
	took    []float64 // seconds of the processor for an answer, of each block
}

// rounds is how often each client asks in a block.
const rounds = 20

// processor returns how much of the processor the servers have had, in seconds.
func (c *crowd) processor(b *testing.B) (sum float64) {
	for _, pid := range c.servers {
		var spent unix.Timespec
		if err := unix.ClockGettime(int32(^pid<<3|2), &spent); err != nil { // the clock of another process
			b.Skip("no clock of another process: ", err)
		}
		sum += time.Duration(spent.Nano()).Seconds()
	}
	return sum
}

// family is a process and its children.
func family(pid int) []int {
	all := []int{pid}
	lists, _ := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/children", pid))
	for _, list := range lists {
		data, _ := os.ReadFile(list)
		for _, text := range strings.Fields(string(data)) {
			if child, err := strconv.Atoi(text); err == nil {
				all = append(all, child)
			}
		}
	}
	return all
}

func newCrowd(b *testing.B, name string, server int, address, path string) *crowd {
	c := &crowd{name: name, servers: family(server), request: []byte("GET " + path + " HTTP/1.1\r\nHost: " + address + "\r\n\r\n")}
	for range 16 {
		conn, err := net.Dial("tcp", address)
		if err != nil {
			b.Fatal(err)
		}
		if _, err := conn.Write(c.request); err != nil {
			b.Fatal(err)
		}
		c.answer = make([]byte, 4<<10)
		n, err := conn.Read(c.answer)
		if c.answer = c.answer[:n]; err != nil || !bytes.HasPrefix(c.answer, []byte("HTTP/1.1 200 ")) {
			b.Fatalf("%s: %s %v", name, c.answer, err)
		}
		file, err := conn.(*net.TCPConn).File() // which makes it one that blocks
		if err != nil {
			b.Fatal(err)
		}
		conn.Close()
		b.Cleanup(func() { file.Close() })
		c.conns = append(c.conns, file.Fd())
	}
	return c
}

// flood asks on all connections at once, then takes the answers, the last one first, so that who asks is woken once and not
// for each of them. It does so for some rounds, and notes what an answer took of the processor.
func (c *crowd) flood(b *testing.B) {
	before := c.processor(b)
	for range rounds {
		for _, fd := range c.conns {
			c.move(b, syscall.SYS_WRITE, fd, c.request)
		}
		for _, fd := range slices.Backward(c.conns) {
			c.move(b, syscall.SYS_READ, fd, c.answer)
			if !bytes.HasPrefix(c.answer, []byte("HTTP/1.1 200 ")) {
				b.Fatalf("%s: %s", c.name, c.answer)
			}
		}
	}
	c.took = append(c.took, (c.processor(b)-before)/float64(rounds*len(c.conns)))
}

// move reads or writes the whole of some bytes, unknown to the scheduler of Go.
func (c *crowd) move(b *testing.B, call, fd uintptr, p []byte) {
	for len(p) > 0 {
		n, _, errno := syscall.RawSyscall(call, fd, uintptr(unsafe.Pointer(&p[0])), uintptr(len(p)))
		if errno != 0 || n == 0 {
			b.Fatalf("%s: %v", c.name, errno)
		}
		p = p[n:]
	}
}
