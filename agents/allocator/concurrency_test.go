package main

import (
	"context"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/platypus-platform/platypus/agents/internal/testhost"
	"github.com/platypus-platform/platypus/intent"
	"github.com/platypus-platform/platypus/intent/fleet"
	"github.com/platypus-platform/platypus/store"
	"github.com/platypus-platform/platypus/store/embedtest"
)

// launches is how many VMs each concurrency run declares: 1000 under make faults, fewer otherwise.
func launches() int {
	if os.Getenv("PLATYPUS_FAULTS") != "" {
		return 1000
	}
	return 120
}

// TestFaultManyAllocators runs 1, 2, 4 and 8 allocators while VMs come and go, with SIGKILL, rejected and lost
// transactions and delays. An auditor reads the ledgers at every index: no machine is overcommitted and no instance
// is placed twice. In the end every declared VM is placed.
func TestFaultManyAllocators(t *testing.T) {
	for name, start := range map[string]func(testing.TB) string{
		"embedded": embedtest.Start, "consul": func(t testing.TB) string { return testhost.Consul(t, "chaos") },
	} {
		t.Run(name, func(t *testing.T) {
			address := start(t)
			for _, many := range []int{1, 2, 4, 8} {
				t.Run(fmt.Sprint(many), func(t *testing.T) { runConcurrent(t, address, many) })
			}
		})
	}
}

func runConcurrent(t *testing.T, address string, many int) {
	root := fmt.Sprintf("chaos-%d-%d/", many, os.Getpid())
	h := newHarness(t, address, root)
	h.inventory(launches()/10, 32)
	audit, stop := context.WithCancel(t.Context())
	var side sync.WaitGroup
	side.Go(func() { h.audit(audit) })
	faulty := faultyProxy(t, address)
	group := startGroup(t, many, root, faulty)
	for n := range launches() {
		h.put(h.tree.VM(intent.Name(fmt.Sprintf("vm%d", n))), fmt.Sprintf(`{"region":%q,"cores":%d,"memory":"%dGB"}`, h.region(n), 1+n%3, 1+n%7))
		switch {
		case n%10 == 9: // some are deleted again, placed or not
			h.remove(h.tree.VM(intent.Name(fmt.Sprintf("vm%d", n-5))))
		case n%25 == 7:
			group.kill()
		}
	}
	h.waitPlaced(launches() - launches()/10)
	stop()
	side.Wait()
	commits, steps, conflicts := group.end()
	if findings := fleet.Audit(h.tree, h.read()); len(findings) > 0 { // at rest: nobody may have changed it since
		t.Errorf("findings: %+v", findings)
	}
	t.Logf("%d allocators: %d vms, %d indexes audited, %d killed; the last of each: %d transactions for %d steps, %d refused or lost",
		many, launches(), h.audited, group.killed, commits, steps, conflicts)
}

// harness is a tree in a real store.
type harness struct {
	testing.TB
	store   *store.Store
	tree    intent.Tree
	audited int
}

func newHarness(t testing.TB, address, root string) *harness {
	t.Helper()
	s, err := store.Open(store.Config{Address: address})
	if err != nil {
		t.Fatal(err)
	}
	tree, err := intent.ParseRoot(root)
	if err != nil {
		t.Fatal(err)
	}
	return &harness{TB: t, store: s, tree: tree}
}

func (h *harness) put(key, value string) {
	h.Helper()
	testhost.Eventually(h, "a write of "+key, func() bool {
		return h.store.Put(h.Context(), key, []byte(value)) == nil
	})
}

func (h *harness) remove(key string) {
	h.Helper()
	testhost.Eventually(h, "a removal of "+key, func() bool { return h.store.Delete(h.Context(), key) == nil })
}

func (h *harness) region(n int) string { return fmt.Sprintf("R%d", n%5) }

func (h *harness) inventory(machines, cores int) {
	for n := range machines {
		h.put(h.tree.Machine(intent.Name(h.region(n)), intent.Name(fmt.Sprintf("m%d", n))), fmt.Sprintf(`{"cores":%d,"memory":"2TB"}`, cores))
	}
}

func (h *harness) read() *fleet.Fleet {
	var all []intent.Pair
	for _, prefix := range fleet.Prefixes(h.tree) {
		testhost.Eventually(h, "a read of "+string(prefix), func() bool { // the servers may be electing a leader
			pairs, _, err := h.store.List(context.Background(), prefix, store.Consistent)
			all = append(all, pairs...)
			return err == nil
		})
	}
	return fleet.Read(h.tree, all)
}

// waitPlaced waits until every VM is placed and nothing else is. Counts are not sufficient: a VM still to be released
// and one still to be placed cancel out.
func (h *harness) waitPlaced(wanted int) {
	h.Helper()
	for end := time.Now().Add(5 * time.Minute); ; time.Sleep(100 * time.Millisecond) {
		placed, held := 0, 0
		f := h.read()
		for _, p := range f.Placements {
			if p.State == intent.Placed {
				placed++
			}
		}
		for _, entries := range f.Entries() {
			held += len(entries)
		}
		findings := fleet.Audit(h.tree, f)
		if placed == wanted && held == wanted && len(f.Placements) == wanted && len(findings) == 0 {
			return
		}
		if time.Now().After(end) {
			h.Fatalf("%d are placed and %d are held, of %d: %v", placed, held, wanted, findings)
		}
	}
}

// audit checks the ledgers at every index it can read. One read returns all ledgers at one index.
func (h *harness) audit(ctx context.Context) {
	for ctx.Err() == nil {
		pairs, _, err := h.store.List(ctx, h.tree.Ledgers(), store.Consistent)
		if err != nil {
			continue
		}
		h.audited++
		at := map[string]string{}
		for _, p := range pairs {
			l, problems := intent.Decode[intent.Ledger](p.Key, p.Value)
			if problems.Err() != nil {
				h.Errorf("%v", problems)
			}
			if taken := l.Taken(); taken.Cores > 32 || taken.Memory > 2*intent.TB {
				h.Errorf("%s holds %+v", p.Key, taken)
			}
			for _, e := range l.Entries {
				if other := at[e.VM]; other != "" {
					h.Errorf("%s is on %s and on %s", e.VM, other, p.Key)
				}
				at[e.VM] = p.Key
			}
		}
	}
}

// faultyProxy forwards to a store and breaks some transactions: rejected without being applied, applied without a
// response, or delayed.
func faultyProxy(t *testing.T, address string) string {
	target, err := url.Parse("http://" + address)
	if err != nil {
		t.Fatal(err)
	}
	pass := httputil.NewSingleHostReverseProxy(target)
	pass.ErrorHandler = func(w http.ResponseWriter, _ *http.Request, _ error) { w.WriteHeader(http.StatusBadGateway) }
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/v1/txn" {
			switch rand.N(20) {
			case 0:
				w.WriteHeader(http.StatusConflict)
				_ = json.NewEncoder(w).Encode(map[string]any{"Errors": []map[string]any{{"OpIndex": 0, "What": "injected"}}})
				return
			case 1:
				pass.ServeHTTP(httptest.NewRecorder(), r)
				panic(http.ErrAbortHandler) // applied, but the client gets no response
			case 2:
				time.Sleep(rand.N(100 * time.Millisecond))
			}
		}
		pass.ServeHTTP(w, r)
	}))
	server.Config.ErrorLog = nil
	t.Cleanup(func() {
		server.CloseClientConnections()
		server.Close()
	})
	return strings.TrimPrefix(server.URL, "http://")
}

// processGroup is a number of allocator processes.
type processGroup struct {
	t      testing.TB
	stores []string // store addresses, assigned to the allocators in turn
	root   string
	logs   []string
	all    []*exec.Cmd
	killed int
}

func startGroup(t testing.TB, many int, root string, stores ...string) *processGroup {
	c := &processGroup{t: t, stores: stores, root: root}
	for n := range many {
		c.logs = append(c.logs, filepath.Join(t.TempDir(), fmt.Sprintf("a%d.log", n)))
		c.all = append(c.all, nil)
		c.start(n)
	}
	t.Cleanup(func() {
		for _, cmd := range c.all {
			if cmd != nil && cmd.ProcessState == nil {
				_ = cmd.Process.Kill()
				_ = cmd.Wait()
			}
		}
	})
	return c
}

func (g *processGroup) start(n int) {
	cmd := process(g.t, g.stores[n%len(g.stores)], g.root, fmt.Sprintf("a%d", n), "--resync", "2s")
	log, err := os.OpenFile(g.logs[n], os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		g.t.Fatal(err)
	}
	defer log.Close()
	cmd.Stderr = log
	if err := cmd.Start(); err != nil {
		g.t.Fatal(err)
	}
	g.all[n] = cmd
}

// kill kills a random allocator with SIGKILL and starts it again.
func (g *processGroup) kill() {
	n := rand.N(len(g.all))
	_ = g.all[n].Process.Kill()
	_ = g.all[n].Wait()
	g.killed++
	g.start(n)
}

var totalsLine = regexp.MustCompile(`([0-9]+) transactions for ([0-9]+) steps, ([0-9]+) refused`)

// end stops all allocators and sums up the totals they logged.
func (g *processGroup) end() (commits, steps, conflicts int) {
	for n, cmd := range g.all {
		_ = cmd.Process.Signal(syscall.SIGTERM)
		waitExit(g.t, cmd)
		data, err := os.ReadFile(g.logs[n])
		if err != nil {
			g.t.Fatal(err)
		}
		found := totalsLine.FindAllStringSubmatch(string(data), -1)
		if len(found) == 0 {
			continue
		}
		last := found[len(found)-1]
		for i, into := range []*int{&commits, &steps, &conflicts} {
			more, _ := strconv.Atoi(last[i+1])
			*into += more
		}
	}
	return commits, steps, conflicts
}
