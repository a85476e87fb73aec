package embedded_test

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"
	"unsafe"

	"github.com/platypus-platform/platypus/store/consultest"
)

// benchAddr is the address, host:port, of a real Consul to measure instead of an embedded store.
const benchAddr = "PLATYPUS_BENCH_ADDR"

// target is the store to measure: its address and, if embedded, its process.
func target(b *testing.B) (string, *process) {
	if addr := os.Getenv(benchAddr); addr != "" {
		return addr, nil
	}
	p := launch(b, b.TempDir(), "127.0.0.1:0")
	return p.addr, p
}

// client keeps as many connections as are in use at the same time.
func client(b testing.TB) *http.Client {
	transport := &http.Transport{MaxIdleConnsPerHost: 100, DisableCompression: true}
	b.Cleanup(transport.CloseIdleConnections)
	return &http.Client{Transport: transport}
}

// do sends one request and returns its status, index and body.
func do(c *http.Client, method, url, body string) (int, uint64, string, error) {
	r, err := http.NewRequest(method, url, strings.NewReader(body))
	if err != nil {
		return 0, 0, "", err
	}
	answer, err := c.Do(r)
	if err != nil {
		return 0, 0, "", err
	}
	defer answer.Body.Close()
	got, err := io.ReadAll(answer.Body)
	index, _ := strconv.ParseUint(answer.Header.Get("X-Consul-Index"), 10, 64)
	return answer.StatusCode, index, string(got), err
}

func mustDo(b testing.TB, c *http.Client, method, url, body string) (uint64, string) {
	code, index, got, err := do(c, method, url, body)
	if err != nil || code != http.StatusOK {
		b.Fatalf("%s %s: %d %q %v", method, url, code, got, err)
	}
	return index, got
}

// BenchmarkPut64 writes from 64 clients at once; each write is durable before its response.
func BenchmarkPut64(b *testing.B) {
	addr, _ := target(b)
	c := client(b)
	var next atomic.Int64
	var group sync.WaitGroup
	value := strings.Repeat("v", 100)
	b.ResetTimer()
	for range 64 {
		group.Go(func() {
			for i := next.Add(1); i <= int64(b.N); i = next.Add(1) {
				url := fmt.Sprintf("http://%s/v1/kv/bench/put/%d", addr, i%10000)
				if code, _, got, err := do(c, "PUT", url, value+strconv.FormatInt(i, 10)); err != nil || code != 200 {
					b.Errorf("put: %d %q %v", code, got, err)
				}
			}
		})
	}
	group.Wait()
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "puts/s")
}

// wire is one connection with a minimal client, because the store is to be measured. It blocks in the kernel, outside
// of Go's scheduler, whose threads would compete with the store's.
type wire struct {
	fd      int
	answers *bufio.Reader
}

func dialWire(b *testing.B, addr string) *wire {
	conn, err := net.Dial("tcp", addr)
	if err != nil {
		b.Fatal(err)
	}
	defer conn.Close()
	file, err := conn.(*net.TCPConn).File() // which sets it to blocking mode
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { file.Close() })
	w := &wire{fd: int(file.Fd())}
	w.answers = bufio.NewReader(w)
	return w
}

func (w *wire) Read(p []byte) (int, error) {
	n, _, errno := syscall.RawSyscall(syscall.SYS_READ, uintptr(w.fd), uintptr(unsafe.Pointer(&p[0])), uintptr(len(p)))
	switch {
	case errno != 0:
		return 0, errno
	case n == 0:
		return 0, io.EOF
	}
	return int(n), nil
}

func (w *wire) ask(b *testing.B, request string) {
	n, _, errno := syscall.RawSyscall(syscall.SYS_WRITE, uintptr(w.fd), uintptr(unsafe.Pointer(unsafe.StringData(request))), uintptr(len(request)))
	if errno != 0 || int(n) != len(request) {
		b.Fatal(n, errno)
	}
}

// hear reads one response and returns its index. It parses as little as possible, because the client's work is measured
// too.
func (w *wire) hear() (index uint64, err error) {
	status, length := "", 0
	for {
		line, err := w.answers.ReadSlice('\n')
		if err != nil {
			return 0, err
		}
		name, value, _ := strings.Cut(strings.TrimSpace(string(line)), ":")
		switch {
		case status == "":
			status = name
		case name == "X-Consul-Index":
			index, _ = strconv.ParseUint(strings.TrimSpace(value), 10, 64)
		case name == "Content-Length":
			length, _ = strconv.Atoi(strings.TrimSpace(value))
		case name == "":
			_, err := w.answers.Discard(length)
			if !strings.Contains(status, " 200 ") {
				err = fmt.Errorf("answer %s", status)
			}
			return index, err
		}
	}
}

// BenchmarkGet reads one key repeatedly on one connection, alternating every few milliseconds between the embedded
// store and a real Consul. With many processors most of that time is two of them waking up, which depends on neither
// store and varies on virtual machines. With one processor it is work alone.
func BenchmarkGet(b *testing.B) {
	ours := launch(b, b.TempDir(), "127.0.0.1:0")
	consul := consultest.Start(b, consultest.Config{Data: b.TempDir()})
	b.Run("many-processors", func(b *testing.B) { getBeside(b, ours.addr, consul.Addr) })
	b.Run("one-processor", func(b *testing.B) {
		for _, pid := range []int{os.Getpid(), ours.cmd.Process.Pid, consul.Pid()} {
			if out, err := exec.Command("taskset", "--all-tasks", "--cpu-list", "--pid", "0", strconv.Itoa(pid)).CombinedOutput(); err != nil {
				b.Skipf("%v: %s", err, out)
			}
		}
		getBeside(b, ours.addr, consul.Addr)
	})
}

func getBeside(b *testing.B, ours, theirs string) {
	mine, other := newReader(b, ours), newReader(b, theirs)
	b.ResetTimer()
	for range b.N {
		mine.read(b)
		other.read(b)
	}
	b.ReportMetric(float64(time.Second)/float64(median(mine.times)), "gets/s")
	b.ReportMetric(float64(time.Second)/float64(median(other.times)), "consul-gets/s")
	b.ReportMetric(float64(median(other.times))/float64(median(mine.times)), "gets/consul")
}

// reader reads one key of one store and records the read times, each the mean of several reads.
type reader struct {
	*wire
	request string
	times   []time.Duration
}

func newReader(b *testing.B, addr string) *reader {
	mustDo(b, client(b), "PUT", "http://"+addr+"/v1/kv/bench/get", strings.Repeat("v", 100))
	return &reader{wire: dialWire(b, addr), request: "GET /v1/kv/bench/get HTTP/1.1\r\nHost: " + addr + "\r\n\r\n"}
}

func (r *reader) read(b *testing.B) {
	const some = 50
	start := time.Now()
	for range some {
		r.ask(b, r.request)
		if _, err := r.hear(); err != nil {
			b.Fatal(err)
		}
	}
	r.times = append(r.times, time.Since(start)/some)
}

func median(of []time.Duration) time.Duration {
	slices.Sort(of)
	return of[len(of)/2]
}

// BenchmarkPutToWatcher measures the time from a write to the response of a waiting reader.
func BenchmarkPutToWatcher(b *testing.B) {
	addr, _ := target(b)
	mustDo(b, client(b), "PUT", "http://"+addr+"/v1/kv/bench/watch", "0")
	index, _ := mustDo(b, client(b), "GET", "http://"+addr+"/v1/kv/bench/watch", "")
	writer, reader := dialWire(b, addr), dialWire(b, addr)
	var spans []time.Duration
	for i := range b.N {
		reader.ask(b, fmt.Sprintf("GET /v1/kv/bench/watch?index=%d&wait=60s HTTP/1.1\r\nHost: %s\r\n\r\n", index, addr))
		time.Sleep(5 * time.Millisecond) // long enough that the reader blocks
		value := strconv.Itoa(i + 1)
		put := fmt.Sprintf("PUT /v1/kv/bench/watch HTTP/1.1\r\nHost: %s\r\nContent-Length: %d\r\n\r\n%s", addr, len(value), value)
		start := time.Now()
		writer.ask(b, put)
		var err error
		if index, err = reader.hear(); err != nil || index == 0 {
			b.Fatal("the watcher got no answer: ", err)
		}
		spans = append(spans, time.Since(start))
		if _, err := writer.hear(); err != nil {
			b.Fatal(err)
		}
	}
	slices.Sort(spans)
	b.ReportMetric(float64(spans[len(spans)/2].Microseconds()), "p50-µs")
	b.ReportMetric(float64(spans[len(spans)*99/100].Microseconds()), "p99-µs")
}

// BenchmarkStart measures the start of a process with 10,000 keys up to its first response.
func BenchmarkStart(b *testing.B) {
	if os.Getenv(benchAddr) != "" {
		b.Skip("starts its own store")
	}
	dir := b.TempDir()
	fill(b, launch(b, dir, "127.0.0.1:0"))
	var total time.Duration
	for range b.N {
		start := time.Now()
		p := launch(b, dir, "127.0.0.1:0")
		mustDo(b, client(b), "GET", "http://"+p.addr+"/v1/kv/bench/fill/1", "")
		total += time.Since(start)
		p.kill()
	}
	b.ReportMetric(float64(total.Microseconds())/1000/float64(b.N), "ms/start")
}

// fill writes 10,000 keys of 100 bytes and stops the store.
func fill(b *testing.B, p *process) {
	fillKeys(b, p.addr)
	p.kill()
}

func fillKeys(b *testing.B, addr string) {
	c := client(b)
	var group sync.WaitGroup
	for part := range 50 {
		group.Go(func() {
			for i := part; i < 10000; i += 50 {
				mustDo(b, c, "PUT", fmt.Sprintf("http://%s/v1/kv/bench/fill/%d", addr, i), strings.Repeat("v", 100))
			}
		})
	}
	group.Wait()
}

// BenchmarkMemory reports the memory of a store with 10,000 keys, after the writes and after a restart.
func BenchmarkMemory(b *testing.B) {
	if os.Getenv(benchAddr) != "" {
		b.Skip("measures its own process")
	}
	for range b.N {
		dir := b.TempDir()
		p := launch(b, dir, "127.0.0.1:0")
		fillKeys(b, p.addr)
		b.ReportMetric(p.rss(b), "MiB-written")
		p.kill()
		p = launch(b, dir, "127.0.0.1:0")
		mustDo(b, client(b), "GET", "http://"+p.addr+"/v1/kv/?recurse", "")
		b.ReportMetric(p.rss(b), "MiB-read")
		p.kill()
	}
}

// rss is the resident memory of a process in MiB.
func (p *process) rss(b testing.TB) float64 {
	status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", p.cmd.Process.Pid))
	if err != nil {
		b.Skip("needs /proc:", err)
	}
	_, rest, _ := strings.Cut(string(status), "VmRSS:")
	kib, err := strconv.ParseFloat(strings.Fields(rest)[0], 64)
	if err != nil {
		b.Fatal(err)
	}
	return kib / 1024
}

const watchers = 9500 // close to 10,000; both ends share the usual limit of 20,000 open files

// BenchmarkWatchers lets thousands of clients wait for one key, writes it once, and reports their memory and the time
// until the last response.
func BenchmarkWatchers(b *testing.B) {
	addr, p := target(b)
	url := "http://" + addr + "/v1/kv/bench/crowd"
	c := client(b)
	mustDo(b, c, "PUT", url, "0")
	for i := range b.N {
		index, _ := mustDo(b, c, "GET", url, "")
		conns := make([]net.Conn, watchers)
		for n := range conns {
			conn, err := net.Dial("tcp", addr)
			if err != nil {
				b.Fatal(err)
			}
			fmt.Fprintf(conn, "GET /v1/kv/bench/crowd?index=%d&wait=300s HTTP/1.1\r\nHost: %s\r\n\r\n", index, addr)
			conns[n] = conn
		}
		time.Sleep(2 * time.Second) // until all of them block
		if p != nil {
			b.ReportMetric(p.rss(b), "MiB-waiting")
		}
		b.ReportMetric(wakeAll(b, c, conns, url, strconv.Itoa(i+1)), "ms-wake-all")
		if p != nil {
			b.ReportMetric(p.rss(b), "MiB-woken")
		}
		for _, conn := range conns {
			conn.Close()
		}
	}
}

// wakeAll writes the key and returns the milliseconds until every watcher received it.
func wakeAll(b *testing.B, c *http.Client, conns []net.Conn, url, value string) float64 {
	var group sync.WaitGroup
	start := time.Now()
	mustDo(b, c, "PUT", url, value)
	for part := range 8 {
		group.Go(func() {
			buffer := make([]byte, 1024)
			for n := part; n < len(conns); n += 8 {
				_ = conns[n].SetReadDeadline(time.Now().Add(hang))
				if _, err := conns[n].Read(buffer); err != nil {
					b.Errorf("watcher %d: %v", n, err)
					return
				}
			}
		})
	}
	group.Wait()
	return float64(time.Since(start).Microseconds()) / 1000
}
