package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/platypus-platform/platypus/agents/dashboard/fleet"
	"github.com/platypus-platform/platypus/agents/internal/agent"
	"github.com/platypus-platform/platypus/intent"
	"github.com/platypus-platform/platypus/store"
)

// shelf is what a store holds, without a store: pages of large or odd fleets are drawn from it.
type shelf struct {
	tree  intent.Tree
	parts map[intent.Prefix][]intent.Pair
	index uint64
}

func newShelf() *shelf {
	tree, _ := intent.ParseRoot(intent.DefaultRoot)
	return &shelf{tree: tree, parts: map[intent.Prefix][]intent.Pair{}}
}

func (s *shelf) put(prefix intent.Prefix, key string, value any) {
	data, err := json.Marshal(value)
	if raw, ok := value.(string); ok {
		data = []byte(raw)
	}
	if err != nil {
		panic(err)
	}
	s.index++
	s.parts[prefix] = append(s.parts[prefix], intent.Pair{Key: key, Value: data, CreateIndex: s.index, ModifyIndex: s.index})
}

// reader has read all of the shelf.
func (s *shelf) reader(now func() time.Time) *fleet.Reader {
	reader := fleet.NewReader(s.tree, now)
	for _, prefix := range reader.Prefixes() {
		reader.Take(prefix, store.Snapshot{Pairs: s.parts[prefix], Index: s.index})
	}
	return reader
}

// report says that agents of a node live, and what one of them says of its subjects.
func (s *shelf) report(agent, node intent.Name, subjects map[string]intent.State) {
	converged := true
	for _, state := range subjects {
		converged = converged && state.Phase == "converged"
	}
	s.put(s.tree.Alives(), s.tree.Alive(node, agent), map[string]int{"pid": 1})
	s.put(s.tree.Statuses(), s.tree.Status(agent, node), intent.Report{Agent: string(agent), Node: node, Converged: converged, Since: time.Unix(1_790_000_000, 0), Subjects: subjects})
}

// large is a fleet of that many machines, eight vms on each and three agents.
func large(machines int) *shelf {
	s := newShelf()
	for i := range machines {
		region, name := intent.Name(fmt.Sprintf("R%02d", i%35)), intent.Name(fmt.Sprintf("metal-%04d.example.net", i))
		if i < 35 {
			s.put(s.tree.Regions(), s.tree.Region(region), intent.Region{Location: "Somewhere", Status: "Operational"})
		}
		s.put(s.tree.Machines(), s.tree.Machine(region, name), intent.Machine{Cores: 64, Memory: 2 * intent.TB, Address: string(name) + ":8500", Datacenter: "a"})
		ledger := intent.Ledger{}
		for v := range 8 {
			instance := intent.Instance{VM: "web", Number: 8*i + v}
			ledger.Entries = append(ledger.Entries, intent.Entry{VM: instance.String(), Cores: 4, Memory: 64 * intent.GB, Intent: 1})
			s.put(s.tree.PlacedVMs(), s.tree.PlacedVM(instance), intent.Placement{State: intent.Placed, Region: region, Machine: name})
		}
		s.put(s.tree.Ledgers(), s.tree.Ledger(region, name), ledger)
		for _, agent := range []intent.Name{"preparer", "port-authority", "setlive"} {
			s.report(agent, name, map[string]intent.State{"slug": {Want: "v2", Have: "v2", Phase: "converged", Since: time.Unix(int64(1700000000+i), 0)}})
		}
	}
	return s
}

// busy is a fleet of ten regions and 99 machines in which everything that a page can show is the case somewhere.
func busy() *shelf {
	s := newShelf()
	places := [][2]string{{"AMS", "Amsterdam, Netherlands"}, {"CDG", "Paris, France"}, {"DEN", "Denver, Colorado (US)"}, {"EZE", "Ezeiza, Argentina"}, {"GIG", "Rio de Janeiro, Brazil"},
		{"IAD", "Ashburn, Virginia (US)"}, {"JNB", "Johannesburg, South Africa"}, {"NRT", "Tokyo, Japan"}, {"SIN", "Singapore"}, {"SYD", "Sydney, Australia"}}
	for i, p := range places {
		status := "Operational"
		if i == 2 {
			status = "Degraded Performance"
		}
		s.put(s.tree.Regions(), s.tree.Region(intent.Name(p[0])), intent.Region{Location: p[1], Status: status})
	}
	for i := range 99 {
		s.machine(i, intent.Name(places[i%10][0]))
	}
	s.oddities()
	s.putSeeds()
	return s
}

// machine is number i of a busy fleet.
func (s *shelf) machine(i int, region intent.Name) {
	name := intent.Name(fmt.Sprintf("metal-%02d.%s.example.net", i/10+1, strings.ToLower(string(region))))
	states := map[int]intent.MachineState{7: intent.MachineCordoned, 18: intent.MachineDraining, 28: intent.MachineDead}
	s.put(s.tree.Machines(), s.tree.Machine(region, name), intent.Machine{Cores: 32, Memory: 2 * intent.TB, Address: string(name) + ":8500",
		Datacenter: strings.ToLower(string(region)) + "-a", State: states[i], Reserved: intent.Share{Cores: 2, Memory: 64 * intent.GB},
		Labels: map[intent.Name]string{"disk": "nvme", "rack": fmt.Sprint("r", i%4)}})
	ledger := intent.Ledger{Entries: []intent.Entry{}}
	for v := range (i * 7) % 9 {
		instance := intent.Instance{VM: "web", Number: 10*i + v}
		e := intent.Entry{VM: instance.String(), Cores: 4, Memory: 128 * intent.GB, Intent: 1}
		if v == 0 {
			e.App, e.Cluster = "slug", "production"
		}
		ledger.Entries = append(ledger.Entries, e)
		s.put(s.tree.PlacedVMs(), s.tree.PlacedVM(instance), intent.Placement{State: intent.Placed, Region: region, Machine: name})
	}
	s.put(s.tree.Ledgers(), s.tree.Ledger(region, name), ledger)
	if i == 31 {
		s.put(s.tree.Statuses(), s.tree.Status("setlive", name), intent.Report{Agent: "setlive", Node: name, Converged: true, Subjects: map[string]intent.State{"slug": {Want: "v2", Have: "v2", Phase: "converged"}}})
		return
	}
	at := time.Now().Add(-time.Duration(i*i) * time.Minute)
	good := intent.State{Want: "v2", Have: "v2", Phase: "converged", Since: at}
	s.report("preparer", name, map[string]intent.State{"slug": good, "search": good})
	slug := good
	switch i {
	case 5:
		slug = intent.State{Want: "v2", Have: "v1", Phase: "failed", Error: "start v2: exited with status 1 after 0.4 s: listen tcp :8080: bind: address already in use", Since: at, Attempts: 4}
	case 26:
		slug = intent.State{Want: "v2", Have: "v1", Phase: "waiting", Reason: "version v2 is not installed", Since: at}
	case 44:
		slug = intent.State{Want: "v2", Phase: "invalid", Reason: `clusters/slug/production/config: /versions/v2: two active versions, line 3 column 12`, Since: at}
	}
	s.report("setlive", name, map[string]intent.State{"slug": slug, "search": good})
}

// oddities are what goes wrong in a fleet.
func (s *shelf) oddities() {
	s.put(s.tree.Machines(), s.tree.Machine("GIG", "metal-99.gig.example.net"), `{"cores":"many"}`)
	s.put(s.tree.Ledgers(), s.tree.Ledger("GIG", "metal-77.gig.example.net"), intent.Ledger{Entries: []intent.Entry{{VM: "lost.0", Cores: 4, Memory: 8 * intent.GB}}})
	s.put(s.tree.Machines(), s.tree.Machine("SIN", "metal-50.sin.example.net"), intent.Machine{Cores: 8, Memory: 64 * intent.GB})
	s.put(s.tree.Ledgers(), s.tree.Ledger("SIN", "metal-50.sin.example.net"), intent.Ledger{Entries: []intent.Entry{{VM: "fat.0", Cores: 12, Memory: 48 * intent.GB, Intent: 1}}})
	s.put(s.tree.Machines(), s.tree.Machine("SIN", "an-exceedingly-long-machine-name-that-somebody-chose.rack-17.row-4.sin.example.net"), intent.Machine{Cores: 32, Memory: intent.TB})
	s.report("preparer", "build-7.example.net", map[string]intent.State{"ci-runner": {Want: "2026.11.3", Have: "2026.11.3", Phase: "converged", Since: time.Now().Add(-2 * time.Hour)}})
	s.put(s.tree.VMs(), s.tree.VM("giant"), intent.VM{Region: []intent.Name{"SIN"}, Cores: 33, Memory: 8 * intent.GB, Count: 1})
	s.put(s.tree.PlacedVMs(), s.tree.PlacedVM(intent.Instance{VM: "giant"}), intent.Placement{State: intent.Pending, Reason: "no machine in SIN has 33 cores; the largest has 32", Refused: map[string]int{"cores": 12}})
	s.put(s.tree.VMs(), s.tree.VM("cache"), intent.VM{Region: []intent.Name{"DEN"}, Cores: 4, Memory: 512 * intent.GB, Count: 3})
	for n := range 3 {
		s.put(s.tree.PlacedVMs(), s.tree.PlacedVM(intent.Instance{VM: "cache", Number: n}), intent.Placement{State: intent.Pending, Reason: "no machine in DEN has 512 GB free; 2 would fit in CDG", Refused: map[string]int{"memory": 7, "cordoned": 1, "draining": 1}})
	}
}

// putSeeds puts four seeds and a site: ready on two nodes, failing on one, wanted and nowhere, and without a report.
func (s *shelf) putSeeds() {
	now := time.Now()
	for i := range 5 {
		node := intent.Name(fmt.Sprintf("metal-%02d.ams.example.net", i+1))
		subjects := map[string]intent.State{
			"hello":       {Phase: "converged", Reason: "2 replicas are wanted, and these nodes rank higher: a, b", Since: now},
			"resize":      {Phase: "converged", Reason: "1 replicas are wanted, and these nodes rank higher", Since: now},
			"orphan":      {Phase: "converged", Reason: "this node is not of the region or does not have the labels that it asks for", Since: now},
			"site/manual": {Want: "sha256:aaaa", Have: "sha256:aaaa", Phase: "converged", Reason: "12 files", Since: now},
		}
		switch i {
		case 0, 1:
			subjects["hello"] = intent.State{Want: "ready", Have: "ready", Phase: "converged", Since: now}
			s.put(s.tree.Replicas(), s.tree.Replica("hello", node), intent.Replica{State: intent.ReplicaReady, Digest: "a"})
		case 2:
			subjects["resize"] = intent.State{Want: "ready", Have: "claimed", Phase: "failed", Reason: "it cannot run: out of memory at 64 MiB", Since: now}
			s.put(s.tree.Replicas(), s.tree.Replica("resize", node), intent.Replica{State: "claimed", Digest: "b"})
		case 3:
			subjects["site/manual"] = intent.State{Want: "sha256:aaaa", Phase: "working", Reason: "3 files are missing", Since: now}
		}
		s.report("seed-placer", node, subjects)
	}
	s.put(s.tree.Replicas(), s.tree.Replica("quiet", "metal-06.ams.example.net"), intent.Replica{State: intent.ReplicaReady, Digest: "c"})
}

// shown serves the pages of a shelf, without a store behind them.
func (s *shelf) shown(t testing.TB) (*dashboard, *tab) {
	t.Helper()
	server := httptest.NewUnstartedServer(nil)
	listen := server.Listener.Addr().String()
	page := newDashboard(&agent.Agent{Tree: s.tree}, listen)
	server.Config.Handler = page
	page.status.record("", nil)
	page.publish(s.reader(time.Now).Fleet())
	server.Start()
	t.Cleanup(server.CloseClientConnections)
	b := (&harness{t: t, listen: listen}).browse(t)
	return page, b
}

var errGone = errors.New("list \"platypus/ledger/\": dial tcp 10.0.0.7:8500: connect: connection refused")
