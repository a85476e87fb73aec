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

// launches is how many vms each run of the chaos wishes for: a thousand under make faults, fewer in every test run.
func launches() int {
	if os.Getenv("PLATYPUS_FAULTS") != "" {
		return 1000
	}
	return 120
}

// TestFaultManyAllocators lets 1, 2, 4 and 8 allocators place vms that come and go, with kill -9, refused and lost
// transactions and delays. An auditor follows every index of the ledgers: nothing ever holds more than it has and no
// instance has two places. In the end every vm that is wished for has its place.
func TestFaultManyAllocators(t *testing.T) {
	for name, start := range map[string]func(testing.TB) string{
		"embedded": embedtest.Start, "consul": func(t testing.TB) string { return testhost.Consul(t, "chaos") },
	} {
		t.Run(name, func(t *testing.T) {
			address := start(t)
			for _, many := range []int{1, 2, 4, 8} {
				t.Run(fmt.Sprint(many), func(t *testing.T) { chaos(t, address, many) })
			}
		})
	}
}

func chaos(t *testing.T, address string, many int) {
	root := fmt.Sprintf("chaos-%d-%d/", many, os.Getpid())
	k := newKitchen(t, address, root)
	k.inventory(launches()/10, 32)
	audit, stop := context.WithCancel(t.Context())
	var side sync.WaitGroup
	side.Go(func() { k.audit(audit) })
	faulty := faultyProxy(t, address)
	crew := newCrew(t, many, root, faulty)
	for n := range launches() {
		k.put(k.tree.VM(intent.Name(fmt.Sprintf("vm%d", n))), fmt.Sprintf(`{"region":%q,"cores":%d,"memory":"%dGB"}`, k.region(n), 1+n%3, 1+n%7))
		switch {
		case n%10 == 9: // some go again, whether they have a place or not
			k.remove(k.tree.VM(intent.Name(fmt.Sprintf("vm%d", n-5))))
		case n%25 == 7:
			crew.kill()
		}
	}
	k.settled(launches() - launches()/10)
	stop()
	side.Wait()
	commits, steps, conflicts := crew.end()
	if findings := fleet.Audit(k.tree, k.read()); len(findings) > 0 { // at rest: nobody may have changed it since
		t.Errorf("findings: %+v", findings)
	}
	t.Logf("%d allocators: %d vms, %d indexes audited, %d killed; the last of each: %d transactions for %d steps, %d refused or lost",
		many, launches(), k.audited, crew.killed, commits, steps, conflicts)
}

// kitchen is a tree in a store, with what people declare in it.
type kitchen struct {
	testing.TB
	store   *store.Store
	tree    intent.Tree
	audited int
}

func newKitchen(t testing.TB, address, root string) *kitchen {
	t.Helper()
	s, err := store.Open(store.Config{Address: address})
	if err != nil {
		t.Fatal(err)
	}
	tree, err := intent.ParseRoot(root)
	if err != nil {
		t.Fatal(err)
	}
	return &kitchen{TB: t, store: s, tree: tree}
}

func (k *kitchen) put(key, value string) {
	k.Helper()
	testhost.Eventually(k, "a write of "+key, func() bool { return k.store.Put(k.Context(), key, []byte(value)) == nil })
}

func (k *kitchen) remove(key string) {
	k.Helper()
	testhost.Eventually(k, "a removal of "+key, func() bool { return k.store.Delete(k.Context(), key) == nil })
}

func (k *kitchen) region(n int) string { return fmt.Sprintf("R%d", n%5) }

func (k *kitchen) inventory(machines, cores int) {
	for n := range machines {
		k.put(k.tree.Machine(intent.Name(k.region(n)), intent.Name(fmt.Sprintf("m%d", n))), fmt.Sprintf(`{"cores":%d,"memory":"2TB"}`, cores))
	}
}

func (k *kitchen) read() *fleet.Fleet {
	var all []intent.Pair
	for _, prefix := range fleet.Prefixes(k.tree) {
		testhost.Eventually(k, "a read of "+string(prefix), func() bool { // the servers may be voting
			pairs, _, err := k.store.List(context.Background(), prefix, store.Consistent)
			all = append(all, pairs...)
			return err == nil
		})
	}
	return fleet.Read(k.tree, all)
}

// settled waits until every vm has its place and nothing else has one. The numbers alone do not tell: a vm that still
// has to go and one that still has to be placed make up for each other.
func (k *kitchen) settled(wanted int) {
	k.Helper()
	for end := time.Now().Add(5 * time.Minute); ; time.Sleep(100 * time.Millisecond) {
		placed, held := 0, 0
		f := k.read()
		for _, p := range f.Placements {
			if p.State == intent.Placed {
				placed++
			}
		}
		for _, entries := range f.Entries() {
			held += len(entries)
		}
		findings := fleet.Audit(k.tree, f)
		if placed == wanted && held == wanted && len(f.Placements) == wanted && len(findings) == 0 {
			return
		}
		if time.Now().After(end) {
			k.Fatalf("%d are placed and %d are held, of %d: %v", placed, held, wanted, findings)
		}
	}
}

// audit looks at the ledgers at each index that it can get hold of, in one read each: so it sees them at one moment.
func (k *kitchen) audit(ctx context.Context) {
	for ctx.Err() == nil {
		pairs, _, err := k.store.List(ctx, k.tree.Ledgers(), store.Consistent)
		if err != nil {
			continue
		}
		k.audited++
		at := map[string]string{}
		for _, p := range pairs {
			l, problems := intent.Decode[intent.Ledger](p.Key, p.Value)
			if problems.Err() != nil {
				k.Errorf("%v", problems)
			}
			if taken := l.Taken(); taken.Cores > 32 || taken.Memory > 2*intent.TB {
				k.Errorf("%s holds %+v", p.Key, taken)
			}
			for _, e := range l.Entries {
				if other := at[e.VM]; other != "" {
					k.Errorf("%s is on %s and on %s", e.VM, other, p.Key)
				}
				at[e.VM] = p.Key
			}
		}
	}
}

// faultyProxy stands before a store and treats some transactions badly: refused without being done, done without an
// answer, or late.
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
				panic(http.ErrAbortHandler) // it is done, and nobody hears of it
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

// crew is some allocators as processes.
type crew struct {
	t      testing.TB
	stores []string // addresses: one allocator after the other is given the next
	root   string
	logs   []string
	all    []*exec.Cmd
	killed int
}

func newCrew(t testing.TB, many int, root string, stores ...string) *crew {
	c := &crew{t: t, stores: stores, root: root}
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

func (c *crew) start(n int) {
	cmd := process(c.t, c.stores[n%len(c.stores)], c.root, fmt.Sprintf("a%d", n), "--resync", "2s")
	log, err := os.OpenFile(c.logs[n], os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		c.t.Fatal(err)
	}
	defer log.Close()
	cmd.Stderr = log
	if err := cmd.Start(); err != nil {
		c.t.Fatal(err)
	}
	c.all[n] = cmd
}

// kill ends one of them at once, and starts it again.
func (c *crew) kill() {
	n := rand.N(len(c.all))
	_ = c.all[n].Process.Kill()
	_ = c.all[n].Wait()
	c.killed++
	c.start(n)
}

var tallied = regexp.MustCompile(`([0-9]+) transactions for ([0-9]+) steps, ([0-9]+) refused`)

// end ends all of them and returns what they say of their transactions.
func (c *crew) end() (commits, steps, conflicts int) {
	for n, cmd := range c.all {
		_ = cmd.Process.Signal(syscall.SIGTERM)
		ended(c.t, cmd)
		data, err := os.ReadFile(c.logs[n])
		if err != nil {
			c.t.Fatal(err)
		}
		found := tallied.FindAllStringSubmatch(string(data), -1)
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
