package embedded_test

import (
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/platypus-platform/platypus/store/embedded"
)

const (
	writers = 4  // clients at work
	backlog = 20 // how many of its keys a client leaves standing
	early   = 60 // calls within which a new store has come to life
)

// value is the value of transaction i of client c. Some are larger than a journal, some smaller than a sector.
func value(c, i int) string {
	return strings.Repeat(fmt.Sprintf("%d.%d.", c, i), 1+(i*i+c*7)%40*(i%3)*8)
}

// working runs clients that each send one transaction after the other: set a key, count it, and delete an old key, all
// or nothing. After each response the client reads the result.
func working(t *testing.T, addr string, n int) {
	var group sync.WaitGroup
	for c := range writers {
		group.Go(func() {
			write, read := &http.Client{Transport: &http.Transport{}, Timeout: hang}, client(t)
			defer write.CloseIdleConnections()
			seen := 0
			for i := 1; i <= n; i++ {
				body := fmt.Sprintf(`[{"KV":{"Verb":"set","Key":"%d/%d","Value":%q}},{"KV":{"Verb":"set","Key":"%d/n","Value":%q}},{"KV":{"Verb":"delete","Key":"%d/%d"}}]`,
					c, i, base64.StdEncoding.EncodeToString([]byte(value(c, i))), c, base64.StdEncoding.EncodeToString([]byte(strconv.Itoa(i))), c, i-backlog)
				code, _, text, err := do(write, "PUT", "http://"+addr+"/v1/txn", body)
				switch {
				case err == nil && code == http.StatusOK:
					seen = i
				case err != nil || code != http.StatusInternalServerError || !strings.Contains(text, "write to disk"):
					t.Errorf("write %d of client %d: %d %s %v", i, c, code, text, err)
					return
				default:
					time.Sleep(10 * time.Millisecond)
				}
				code, _, text, err = do(read, "GET", fmt.Sprintf("http://%s/v1/kv/%d/n?raw", addr, c), "")
				if err != nil || seen > 0 && text != strconv.Itoa(seen) || seen == 0 && code != http.StatusNotFound {
					t.Errorf("client %d reads %d %q, %v after write %d", c, code, text, err, seen)
				}
			}
		})
	}
	group.Wait()
}

// promised is what clients had been told up to a point of a trace.
type promised struct {
	client  map[string]int // by socket
	done    [writers]int   // how many writes were answered
	refused [writers]map[int]bool
	loose   [writers]int // a refused write that nothing has put back yet, so it may be there after all
	last    [writers]int // the newest write that was acknowledged
	heard   [writers]int // when a client was answered last, which is when it began its next write
	clock   int
	acks    int
}

func newPromised() *promised {
	p := &promised{client: map[string]int{}}
	for c := range writers {
		p.refused[c] = map[int]bool{}
	}
	return p
}

// hear processes a response to a client.
func (p *promised) hear(socket, text string) {
	c, known := p.client[socket]
	p.clock++
	if _, results, found := strings.Cut(text, `{"Results":[{"KV":{"LockIndex":0,"Key":"`); found {
		c, _ = strconv.Atoi(results[:1])
		p.client[socket] = c
		p.done[c]++
		p.last[c] = p.done[c]
		p.acks++
		for other := range p.loose {
			if p.heard[other] <= p.heard[c] { // this write began after that one was refused
				p.loose[other] = 0
			}
		}
		p.heard[c] = p.clock
	} else if known && strings.HasPrefix(text, "HTTP/1.1 500") {
		p.done[c]++
		p.refused[c][p.done[c]] = true
		p.loose[c] = p.done[c]
		p.heard[c] = p.clock
	}
}

// kept checks that a store has what was promised, each write completely or not at all.
func (p *promised) kept(s *embedded.Store) error {
	w := httptest.NewRecorder()
	s.Handler().ServeHTTP(w, httptest.NewRequest("GET", "/v1/kv/?recurse", nil))
	var pairs []struct {
		Key   string
		Value []byte
	}
	if w.Code != http.StatusNotFound {
		if err := json.Unmarshal(w.Body.Bytes(), &pairs); err != nil {
			return err
		}
	}
	there := map[string]string{}
	for _, pair := range pairs {
		there[pair.Key] = string(pair.Value)
	}
	count := 0
	for c := range writers {
		n, _ := strconv.Atoi(there[fmt.Sprintf("%d/n", c)])
		if n != p.last[c] && n != p.done[c]+1 && (n != p.loose[c] || n == 0) {
			return fmt.Errorf("client %d: write %d is the newest, acknowledged were %d, answered %d, may be %d", c, n, p.last[c], p.done[c], p.loose[c])
		}
		if n > 0 {
			count++
		}
		expected := map[int]bool{}
		for i := 1; i <= n; i++ {
			if !p.refused[c][i] || i == n {
				expected[i] = true
				delete(expected, i-backlog)
			}
		}
		for i := range expected {
			if there[fmt.Sprintf("%d/%d", c, i)] != value(c, i) {
				return fmt.Errorf("client %d: write %d of %d is lost", c, i, n)
			}
		}
		count += len(expected)
	}
	if count != len(there) {
		return fmt.Errorf("%d keys, want %d", len(there), count)
	}
	return nil
}

// cutEverywhere replays a trace and simulates power cuts at points of it.
func cutEverywhere(t *testing.T, data, trace string, cuts int) {
	file, err := os.Open(trace)
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	all := 0
	if err := readTrace(file, func(tracedCall) error { all++; return nil }); err != nil {
		t.Fatal(err)
	}
	if _, err := file.Seek(0, 0); err != nil {
		t.Fatal(err)
	}
	seed := rand.Uint64()
	random := rand.New(rand.NewPCG(seed, 1))
	d, told, offsets := newSimDisk(random), newPromised(), map[string]int{}
	d.create(filepath.Dir(data))
	d.durable[filepath.Dir(data)] = d.names[filepath.Dir(data)]
	tried, at := 0, 0
	err = readTrace(file, func(c tracedCall) error {
		at++
		if socket, text := c.answers(); socket != "" {
			told.hear(socket, text)
		}
		d.replay(c, offsets)
		if at > early && random.IntN(all) >= cuts && at < all {
			return nil
		}
		tried++
		to := filepath.Join(t.TempDir(), "data")
		if err := d.powerCut(data, to); err != nil {
			return err
		}
		s, err := embedded.Open(to, embedded.Options{Node: "n1"})
		if err == nil {
			err = errors.Join(told.kept(s), s.Close())
		}
		if err != nil {
			return fmt.Errorf("seed %d, call %d of %d (%s), %d acknowledged: %w", seed, at, all, c.name, told.acks, err)
		}
		return os.RemoveAll(to)
	})
	t.Logf("%d acknowledged writes, %d calls, power cut at %d of them", told.acks, all, tried)
	if err != nil {
		t.Error(err)
	}
	if told.acks == 0 {
		t.Error("nothing was acknowledged")
	}
}

// TestFaultPower simulates power cuts at any point of a store's life, with a healthy disk and with one that fails some
// calls. Acknowledged writes must be present, rejected ones must be absent once a later write was acknowledged, and the
// store must start.
func TestFaultPower(t *testing.T) {
	if testing.Short() {
		t.Skip("cuts the power many times")
	}
	t.Parallel()
	rules, writes, cuts := []string{"", "fdatasync:error=EIO:when=20", "pwrite64:error=ENOSPC:when=40"}, 60, 40
	if thorough() {
		writes, cuts = 200, 200
		for n := 10; n < 150; n += 34 {
			rules = append(rules, fmt.Sprintf("fdatasync:error=EIO:when=%d..%d", n, n+n%3), fmt.Sprintf("pwrite64:error=EIO:when=%d..%d", n, n+n%4))
		}
		rules = append(rules, "ftruncate:error=ENOSPC:when=2..4", "fsync:error=EIO:when=4..5")
	}
	for _, rule := range rules {
		name, _, _ := strings.Cut(rule+":none", ":")
		t.Run(name+rule[strings.LastIndex(rule, "=")+1:], func(t *testing.T) {
			t.Parallel()
			dir := t.TempDir()
			data, trace := filepath.Join(dir, "data"), filepath.Join(dir, "trace")
			p, err := underTrace(t, data, trace, rule)
			if err != nil {
				// It met the fault while it started; the next one does not.
				if s := open(t, data); rule == "" || !strings.Contains(err.Error(), "input/output error") || s == nil {
					t.Error(err)
				}
				return
			}
			t.Cleanup(p.kill)
			working(t, p.addr, writes)
			p.killTraced(t, data)
			cutEverywhere(t, data, trace, cuts)
		})
	}
}
