package main

import (
	"bytes"
	"compress/gzip"
	"encoding/json"
	"fmt"
	"os"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/platypus-platform/platypus/agents/dashboard/fleet"
	"github.com/platypus-platform/platypus/intent"
	"github.com/platypus-platform/platypus/store"
)

// BenchmarkWriteToPaint measures from the write of a ledger to the frame that shows it, in a real browser: both clocks are
// this machine's. It also says how far the store moves by itself while the page is open.
func BenchmarkWriteToPaint(b *testing.B) {
	w := newWorld(b)
	w.furnish()
	w.startDashboard()
	page := w.browse(b)
	page.open("/?region=SIN")
	page.until("live", live)
	// The frame after the one in which the change was laid out has been painted.
	ask[bool](page, `(window.painted = {}, new MutationObserver(() => {
		const n = document.getElementById('m-metal-2.sin.example.net').innerText.match(/(\d+) of 32 free/)[1];
		if (!painted[n]) requestAnimationFrame(() => { const c = new MessageChannel(); c.port1.onmessage = () => { painted[n] ??= Date.now(); }; c.port2.postMessage(0); });
	}).observe(document.body, {subtree: true, childList: true, characterData: true}), true)`)
	var took []float64
	for round := range 40 {
		n := 1 + round%7
		ask[bool](page, fmt.Sprintf("(delete painted['%d'], true)", 32-4*n))
		time.Sleep(400 * time.Millisecond) // further apart than the pace of a watch
		began := time.Now()
		w.hold("SIN", "metal-2.sin.example.net", n)
		for deadline := began.Add(hang); ; {
			at := ask[float64](page, fmt.Sprintf("painted['%d'] ?? 0", 32-4*n))
			if at > 0 {
				took = append(took, at-float64(began.UnixMicro())/1000)
				break
			}
			if time.Now().After(deadline) {
				b.Fatal("never painted")
			}
			time.Sleep(5 * time.Millisecond)
		}
	}
	slices.Sort(took)
	b.ReportMetric(took[len(took)/2], "p50-ms")
	b.ReportMetric(took[len(took)*95/100], "p95-ms")
	b.ReportMetric(0, "ns/op")
}

// BenchmarkOpenPage leaves a page open for a minute, or for PLATYPUS_IDLE: the store must not move.
func BenchmarkOpenPage(b *testing.B) {
	w := newWorld(b)
	w.furnish()
	w.startDashboard()
	page := w.browse(b)
	page.open("/")
	page.until("live", live)
	span := time.Minute
	if d, err := time.ParseDuration(os.Getenv("PLATYPUS_IDLE")); err == nil {
		span = d
	}
	before, cpu := w.index(), w.cpu()
	time.Sleep(span)
	b.ReportMetric(float64(w.index()-before), "store-writes")
	b.ReportMetric(100*(w.cpu()-cpu).Seconds()/span.Seconds(), "cpu-%")
	b.ReportMetric(w.resident(), "MiB")
	b.ReportMetric(0, "ns/op")
}

// cpu is what the dashboard has used of a processor.
func (w *world) cpu() time.Duration {
	data, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", w.cmd.Process.Pid))
	if err != nil {
		w.t.Skip("needs /proc")
	}
	fields := strings.Fields(string(data[bytes.LastIndexByte(data, ')')+1:]))
	user, _ := strconv.Atoi(fields[11])
	system, _ := strconv.Atoi(fields[12])
	return time.Duration(user+system) * 10 * time.Millisecond
}

// resident is the memory that the dashboard holds, in MiB.
func (w *world) resident() float64 {
	data, _ := os.ReadFile(fmt.Sprintf("/proc/%d/status", w.cmd.Process.Pid))
	_, rest, _ := strings.Cut(string(data), "VmRSS:")
	fields := strings.Fields(rest)
	if len(fields) == 0 {
		return 0
	}
	kB, _ := strconv.Atoi(fields[0])
	return float64(kB) / 1024
}

// large is a fleet of that many machines, eight vms on each and three agents.
func large(machines int) (tree intent.Tree, parts map[intent.Prefix][]intent.Pair) {
	tree, _ = intent.ParseRoot(intent.DefaultRoot)
	parts = map[intent.Prefix][]intent.Pair{}
	index := uint64(0)
	put := func(prefix intent.Prefix, key string, value any) {
		data, err := json.Marshal(value)
		if err != nil {
			panic(err)
		}
		index++
		parts[prefix] = append(parts[prefix], intent.Pair{Key: key, Value: data, CreateIndex: index, ModifyIndex: index})
	}
	for i := range machines {
		region, name := intent.Name(fmt.Sprintf("R%02d", i%35)), intent.Name(fmt.Sprintf("metal-%04d.example.net", i))
		if i < 35 {
			put(tree.Regions(), tree.Region(region), intent.Region{Location: "Somewhere", Status: "Operational"})
		}
		put(tree.Machines(), tree.Machine(region, name), intent.Machine{Cores: 64, Memory: 2 * intent.TB, Address: string(name) + ":8500", Datacenter: "a"})
		ledger := intent.Ledger{}
		for v := range 8 {
			instance := intent.Instance{VM: "web", Number: 8*i + v}
			ledger.Entries = append(ledger.Entries, intent.Entry{VM: instance.String(), Cores: 4, Memory: 64 * intent.GB, Intent: 1})
			put(tree.PlacedVMs(), tree.PlacedVM(instance), intent.Placement{State: intent.Placed, Region: region, Machine: name})
		}
		put(tree.Ledgers(), tree.Ledger(region, name), ledger)
		for _, agent := range []intent.Name{"preparer", "port-authority", "setlive"} {
			put(tree.Alives(), tree.Alive(name, agent), map[string]int{"pid": 1})
			put(tree.Statuses(), tree.Status(agent, name), intent.Report{Agent: string(agent), Node: name, Converged: true, Subjects: map[string]intent.State{
				"slug": {Want: "v2", Have: "v2", Phase: "converged", Since: time.Unix(int64(1700000000+i), 0)}}})
		}
	}
	return tree, parts
}

// BenchmarkPageOfMany measures 5,000 machines: the first reading, one change until it is drawn, and what a browser gets.
func BenchmarkPageOfMany(b *testing.B) {
	tree, parts := large(5000)
	var before, after runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&before)
	reader := fleet.NewReader(tree, time.Now)
	began := time.Now()
	for _, prefix := range reader.Prefixes() {
		reader.Take(prefix, store.Snapshot{Pairs: parts[prefix], Index: 1})
	}
	now := reader.Fleet()
	first := time.Since(began)
	runtime.GC()
	runtime.ReadMemStats(&after)
	all, region := render(now, selection{}), render(now, selection{Region: "R07"})
	whole, part := encoded(difference(rendering{}, all)), encoded(difference(rendering{}, region))
	ledgers := slices.Clone(parts[tree.Ledgers()])
	const rounds = 30
	sent := 0
	began = time.Now()
	for round := range rounds {
		value, _ := json.Marshal(intent.Ledger{Entries: []intent.Entry{{VM: fmt.Sprintf("web.%d", round), Cores: 1 + round%60, Memory: intent.GB, Intent: 1}}})
		ledgers[7].Value, ledgers[7].ModifyIndex = value, uint64(1e6+round)
		reader.Take(tree.Ledgers(), store.Snapshot{Pairs: ledgers, Index: uint64(1e6 + round)})
		next := render(reader.Fleet(), selection{Region: "R07"})
		sent += len(encoded(difference(region, next)))
		region = next
	}
	b.ReportMetric(float64(time.Since(began).Milliseconds())/float64(rounds), "ms-change")
	b.ReportMetric(float64(sent)/float64(rounds)/1000, "kB-delta")
	b.ReportMetric(float64(first.Milliseconds()), "ms-first")
	b.ReportMetric(float64(after.HeapAlloc-before.HeapAlloc)/(1<<20), "MiB-heap")
	b.ReportMetric(packed(whole), "kB-fleet-gz")
	b.ReportMetric(packed(part), "kB-region-gz")
	b.ReportMetric(0, "ns/op")
}

// packed is the size of data on the wire, in kB.
func packed(data []byte) float64 {
	var out bytes.Buffer
	zip := gzip.NewWriter(&out)
	_, _ = zip.Write(data)
	_ = zip.Close()
	return float64(out.Len()) / 1000
}
