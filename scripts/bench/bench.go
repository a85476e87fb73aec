//go:build ignore

// Command bench runs the benchmarks that stand for a promise, prints each figure beside its reference and its bar, and
// keeps everything as JSON. Run it from the top of the repository:
//
//	go run scripts/bench/bench.go [-out dist/bench.json] [-only TEXT]
//
// It measures; it does not judge with its exit code, for a busy machine is no defect.
package main

import (
	"bufio"
	"encoding/json"
	"flag"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"text/tabwriter"
	"time"
)

// figure is one promise: a metric of a benchmark and the bar it is held to.
type figure struct {
	What      string  `json:"what"`
	Package   string  `json:"package"`
	Benchmark string  `json:"benchmark"`
	Metric    string  `json:"metric"`
	Consul    bool    `json:"consul,omitempty"` // measured on a real Consul too: the figure is the ratio ours / Consul's
	Ours      float64 `json:"ours,omitempty"`
	Theirs    float64 `json:"theirs,omitempty"`
	Bar       float64 `json:"bar"`
	AtLeast   bool    `json:"at_least,omitempty"` // the bar is a floor, not a ceiling
	Measured  float64 `json:"measured"`
	Found     bool    `json:"found"`
	Met       bool    `json:"met"`
}

// figures are the promises. The reference of a ratio is measured by the benchmark itself, in the same run.
var figures = []figure{
	{What: "intent PUT to new process running, p50, ms", Package: story, Benchmark: "BenchmarkSwitch", Metric: "switch-ms", Bar: 60},
	{What: "the same / sv stop, ln, sv up by hand", Package: story, Benchmark: "BenchmarkSwitch", Metric: "switch-ratio", Bar: 2},
	{What: "intent PUT to firewall rule, minus raw watch and restore, p50, ms", Package: ports, Benchmark: "BenchmarkIntentToRule/nft", Metric: "overhead-ms", Bar: 5},
	{What: "10,000 ports: converge / raw iptables-restore", Package: ports, Benchmark: "BenchmarkManyPorts/nft", Metric: "open/restore", Bar: 1.5},
	{What: "10,000 ports: no-op pass / raw iptables-save", Package: ports, Benchmark: "BenchmarkManyPorts/nft", Metric: "idle/save", Bar: 1.5},
	{What: "install of 200 MB, 5,000 files / sha256sum && tar xzf", Package: unpack, Benchmark: "BenchmarkInstall", Metric: "ratio", Bar: 0.9},
	{What: "its peak memory, MiB", Package: unpack, Benchmark: "BenchmarkInstall", Metric: "MiB/peak-rss", Bar: 64},
	{What: "embedded store: 64-way durable puts / Consul", Package: embedded, Benchmark: "BenchmarkPut64", Metric: "puts/s", Consul: true, Bar: 2, AtLeast: true},
	{What: "embedded store: sequential gets / Consul", Package: embedded, Benchmark: "BenchmarkGet/one-processor", Metric: "gets/consul", Bar: 2, AtLeast: true},
	{What: "the same on many processors, which mostly sleep", Package: embedded, Benchmark: "BenchmarkGet/many-processors", Metric: "gets/consul", Bar: 2, AtLeast: true},
	{What: "embedded store: put to watcher, p50 / Consul", Package: embedded, Benchmark: "BenchmarkPutToWatcher", Metric: "p50-µs", Consul: true, Bar: 0.5},
	{What: "embedded store: start to first answer, ms", Package: embedded, Benchmark: "BenchmarkStart", Metric: "ms/start", Bar: 100},
	{What: "embedded store: memory with 10,000 keys, MiB", Package: embedded, Benchmark: "BenchmarkMemory", Metric: "MiB-read", Bar: 40},
	{What: "10,000 blocked watchers: one write wakes all, ms", Package: embedded, Benchmark: "BenchmarkWatchers", Metric: "ms-wake-all", Bar: 1000},
	{What: "10,000 blocked watchers: memory, MiB", Package: embedded, Benchmark: "BenchmarkWatchers", Metric: "MiB-waiting", Bar: 300},
	{What: "history: commit of a 2 kB intent / a raw transaction", Package: past, Benchmark: "BenchmarkCommit", Metric: "commit/txn", Bar: 3},
	{What: "the same / git commit of a file", Package: past, Benchmark: "BenchmarkCommit", Metric: "commit/git", Bar: 1},
	{What: "history: 1,000 keys of the past / a plain recursive read of now", Package: past, Benchmark: "BenchmarkPast", Metric: "past/now", Bar: 3},
	{What: "the same / git archive", Package: past, Benchmark: "BenchmarkPast", Metric: "past/git", Bar: 1},
	{What: "history: bytes kept of a change of a 10 kB intent", Package: past, Benchmark: "BenchmarkKept", Metric: "B/change", Bar: 700},
	{What: "the same / git gc --aggressive", Package: past, Benchmark: "BenchmarkKept", Metric: "kept/git", Bar: 1},
	{What: "vms: decisions a second on one core, 100 machines", Package: fleet, Benchmark: "BenchmarkChoose/machines=100", Metric: "decisions/s", Bar: 50000, AtLeast: true},
	{What: "vms: decisions a second on one core, 1,000 machines", Package: fleet, Benchmark: "BenchmarkChoose/machines=1000", Metric: "decisions/s", Bar: 50000, AtLeast: true},
	{What: "vms: decisions a second on one core, 10,000 machines", Package: fleet, Benchmark: "BenchmarkChoose/machines=10000", Metric: "decisions/s", Bar: 50000, AtLeast: true},
	{What: "vms: decisions at 10,000 machines that take over 1 ms, %", Package: fleet, Benchmark: "BenchmarkChoose/machines=10000", Metric: "%over-1ms", Bar: 1},
	{What: "vms: commits a second, one txn each / bare txns, embedded store", Package: allocator, Benchmark: "BenchmarkCommit/embedded/one", Metric: "ours/raw", Bar: 0.8, AtLeast: true},
	{What: "vms: commits a second, batched / bare txns, embedded store", Package: allocator, Benchmark: "BenchmarkCommit/embedded/batched", Metric: "ours/raw", Bar: 0.8, AtLeast: true},
	{What: "vms: commits a second, one txn each / bare txns, Consul", Package: allocator, Benchmark: "BenchmarkCommit/consul/one", Metric: "ours/raw", Bar: 0.8, AtLeast: true},
	{What: "vms: commits a second, batched / bare txns, Consul", Package: allocator, Benchmark: "BenchmarkCommit/consul/batched", Metric: "ours/raw", Bar: 0.8, AtLeast: true},
	{What: "launch, start to answer, p50, ms, embedded store", Package: cli, Benchmark: "BenchmarkLaunch/embedded", Metric: "launch-ms", Bar: 30},
	{What: "launch, start to answer, p50, ms, Consul", Package: cli, Benchmark: "BenchmarkLaunch/consul", Metric: "launch-ms", Bar: 30},
	{What: "idle preparer with 20 apps: processor, %", Package: story, Benchmark: "BenchmarkIdle", Metric: "preparer-cpu-%", Bar: 0.2},
	{What: "idle port-authority with 20 apps: processor, %", Package: story, Benchmark: "BenchmarkIdle", Metric: "port-authority-cpu-%", Bar: 0.2},
	{What: "idle setlive with 20 apps: processor, %", Package: story, Benchmark: "BenchmarkIdle", Metric: "setlive-cpu-%", Bar: 0.2},
	{What: "idle preparer: memory, MiB", Package: story, Benchmark: "BenchmarkIdle", Metric: "preparer-MiB", Bar: 30},
	{What: "idle port-authority: memory, MiB", Package: story, Benchmark: "BenchmarkIdle", Metric: "port-authority-MiB", Bar: 30},
	{What: "idle setlive: memory, MiB", Package: story, Benchmark: "BenchmarkIdle", Metric: "setlive-MiB", Bar: 30},
	{What: "warm call of a Go seed with the kill check, ns", Package: engine, Benchmark: "BenchmarkWarmCall/checked", Metric: "ns/op", Bar: 2000},
	{What: "warm call of a trusted Go seed, ns", Package: engine, Benchmark: "BenchmarkWarmCall/trusted", Metric: "ns/op", Bar: 300},
	{What: "hello over HTTP with the kill check / plain net/http", Package: seeds, Benchmark: "BenchmarkHTTP", Metric: "checked/plain", Bar: 0.6, AtLeast: true},
	{What: "hello over HTTP, trusted / plain net/http", Package: seeds, Benchmark: "BenchmarkHTTP", Metric: "trusted/plain", Bar: 0.85, AtLeast: true},
	{What: "agent killed and started to first answer, code cached, ms", Package: seeds, Benchmark: "BenchmarkRestart", Metric: "ms/restart", Bar: 100},
	{What: "20 callers where 2 can be served: goodput / peak", Package: seeds, Benchmark: "BenchmarkOverload", Metric: "goodput/peak", Bar: 0.8, AtLeast: true},
	{What: "the same: p99 of what is answered / idle", Package: seeds, Benchmark: "BenchmarkOverload", Metric: "p99/idle", Bar: 2},
	{What: "blob of 1 GiB, put and get over TLS, also over a link that is cut: peak memory of program, agent and worker, MiB", Package: cli, Benchmark: "BenchmarkBlob", Metric: "MiB/peak-rss", Bar: 64},
	{What: "the same: put / sha256sum of the file", Package: cli, Benchmark: "BenchmarkBlob", Metric: "put/sha256sum", Bar: 2.5},
	{What: "the same: put, MiB a second", Package: cli, Benchmark: "BenchmarkBlob", Metric: "MiB/s", Bar: 50, AtLeast: true},
	{What: "idle agents: writes to the store in 60 s", Package: story, Benchmark: "BenchmarkIdle", Metric: "store-writes", Bar: 0},
	{What: "store write to painted page, p95, ms", Package: dashboard, Benchmark: "BenchmarkWriteToPaint", Metric: "p95-ms", Bar: 300},
	{What: "an open page, idle for 60 s: writes to the store", Package: dashboard, Benchmark: "BenchmarkOpenPage", Metric: "store-writes", Bar: 0},
	{What: "dashboard with an open page: memory, MiB", Package: dashboard, Benchmark: "BenchmarkOpenPage", Metric: "MiB", Bar: 40},
	{What: "page of a region, 5,000 machines in the fleet, kB", Package: dashboard, Benchmark: "BenchmarkPageOfMany", Metric: "kB-region-gz", Bar: 40},
}

const (
	story     = "./agents/internal/story"
	dashboard = "./agents/dashboard"
	ports     = "./agents/port-authority"
	unpack    = "./agents/preparer/unpack"
	embedded  = "./store/embedded"
	fleet     = "./intent/fleet"
	allocator = "./agents/allocator"
	cli       = "./deploy/platypus"
	past      = "./store/history"
	seeds     = "./agents/seed-placer"
	engine    = "./agents/seed-placer/engine"
)

// rounds is how often ours and Consul's are measured in turn; the median counts.
const rounds = 3

func main() {
	out := flag.String("out", "dist/bench.json", "where to keep the figures")
	only := flag.String("only", "", "run only benchmarks whose package or name holds this text")
	flag.Parse()
	ours, theirs := results{}, results{}
	for _, pkg := range packages(*only) {
		fmt.Fprintf(os.Stderr, "== %s\n", pkg)
		if err := run(pkg, names(pkg, *only, false), "", ours); err != nil {
			fmt.Fprintf(os.Stderr, "%s: %v\n", pkg, err)
		}
		if pairs := names(pkg, *only, true); len(pairs) > 0 {
			if err := besideConsul(pkg, pairs, ours, theirs); err != nil {
				fmt.Fprintf(os.Stderr, "%s: %v\n", pkg, err)
			}
		}
	}
	for i := range figures {
		figures[i].judge(ours, theirs)
	}
	print(figures)
	if err := keep(*out, ours, theirs); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

// results are all values of a metric, by benchmark and metric.
type results map[string]map[string][]float64

func (r results) median(benchmark, metric string) (float64, bool) {
	values := slices.Sorted(slices.Values(r[benchmark][metric]))
	if len(values) == 0 {
		return 0, false
	}
	return values[len(values)/2], true
}

func (f *figure) judge(ours, theirs results) {
	f.Measured, f.Found = ours.median(f.Benchmark, f.Metric)
	if f.Consul && f.Found {
		f.Ours = f.Measured
		f.Theirs, f.Found = theirs.median(f.Benchmark, f.Metric)
		f.Measured = f.Ours / f.Theirs
	}
	f.Met = f.Found && (f.AtLeast && f.Measured >= f.Bar || !f.AtLeast && f.Measured <= f.Bar)
}

// packages lists those that the figures name, each once.
func packages(only string) (names []string) {
	for _, f := range figures {
		if !slices.Contains(names, f.Package) && f.wanted(f.Package, only) {
			names = append(names, f.Package)
		}
	}
	return names
}

func (f figure) wanted(pkg, only string) bool {
	return f.Package == pkg && (only == "" || strings.Contains(f.Package+f.Benchmark, only))
}

// names lists the benchmarks of a package, those that are measured on Consul too or the others.
func names(pkg, only string, consul bool) (names []string) {
	for _, f := range figures {
		top, _, _ := strings.Cut(f.Benchmark, "/")
		if name := "^" + top + "$"; f.wanted(pkg, only) && f.Consul == consul && !slices.Contains(names, name) {
			names = append(names, name)
		}
	}
	return names
}

// besideConsul measures in turn on the embedded store and on a single-server Consul with its data on the same disk.
func besideConsul(pkg string, benchmarks []string, ours, theirs results) error {
	dir, err := os.MkdirTemp("", "platypus-bench-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	const addr = "127.0.0.1:18590"
	config := `{"ports":{"dns":-1,"grpc":-1,"grpc_tls":-1,"serf_wan":-1,"http":18590,"serf_lan":18591,"server":18592},"limits":{"http_max_conns_per_client":1000}}`
	if err := os.WriteFile(filepath.Join(dir, "config.json"), []byte(config), 0o644); err != nil {
		return err
	}
	consul := exec.Command("consul", "agent", "-server", "-bootstrap-expect=1", "-node=bench", "-bind=127.0.0.1",
		"-data-dir="+filepath.Join(dir, "data"), "-config-file="+filepath.Join(dir, "config.json"), "-log-level=warn")
	if err := consul.Start(); err != nil {
		return fmt.Errorf("start consul (scripts/consul/build.sh prints where it is): %w", err)
	}
	defer func() { _ = consul.Process.Kill(); _ = consul.Wait() }()
	time.Sleep(10 * time.Second) // until it leads
	for range rounds {
		if err := run(pkg, benchmarks, "", ours); err != nil {
			return err
		}
		if err := run(pkg, benchmarks, addr, theirs); err != nil {
			return err
		}
	}
	return nil
}

// line is what go test prints of a benchmark: its name, how often it ran, then pairs of value and unit.
var line = regexp.MustCompile(`^(Benchmark\S+?)(?:-\d+)?\s+\d+\s+(.*)$`)

// run runs benchmarks of one package, on the store at addr if one is named, and notes their metrics.
func run(pkg string, benchmarks []string, addr string, into results) error {
	if len(benchmarks) == 0 {
		return nil
	}
	cmd := exec.Command("go", "test", "-run", "^$", "-bench", strings.Join(benchmarks, "|"), "-timeout", "30m", pkg)
	cmd.Env = append(os.Environ(), "PLATYPUS_BENCH_ADDR="+addr)
	cmd.Stderr = os.Stderr
	pipe, err := cmd.StdoutPipe()
	if err != nil {
		return err
	}
	if err := cmd.Start(); err != nil {
		return err
	}
	lines := bufio.NewScanner(io.TeeReader(pipe, os.Stderr))
	for lines.Scan() {
		m := line.FindStringSubmatch(lines.Text())
		if m == nil {
			continue
		}
		if into[m[1]] == nil {
			into[m[1]] = map[string][]float64{}
		}
		for metric, value := range metrics(m[2]) {
			into[m[1]][metric] = append(into[m[1]][metric], value)
		}
	}
	return cmd.Wait()
}

func metrics(text string) map[string]float64 {
	values, fields := map[string]float64{}, strings.Fields(text)
	for i := 0; i+1 < len(fields); i += 2 {
		if v, err := strconv.ParseFloat(fields[i], 64); err == nil {
			values[fields[i+1]] = v
		}
	}
	return values
}

func print(figures []figure) {
	w := tabwriter.NewWriter(os.Stdout, 0, 0, 2, ' ', 0)
	fmt.Fprintln(w, "FIGURE\tMEASURED\tBAR\t")
	for _, f := range figures {
		bar, verdict, value := "≤", "missed", fmt.Sprintf("%.4g", f.Measured)
		if f.AtLeast {
			bar = "≥"
		}
		switch {
		case !f.Found:
			value, verdict = "-", "not measured"
		case f.Met:
			verdict = "met"
		}
		fmt.Fprintf(w, "%s\t%s\t%s %g\t%s\n", f.What, value, bar, f.Bar, verdict)
	}
	w.Flush()
}

func keep(path string, ours, theirs results) error {
	data, err := json.MarshalIndent(map[string]any{
		"time": time.Now().UTC().Format(time.RFC3339), "cpus": runtime.NumCPU(), "go": runtime.Version(),
		"figures": figures, "measured": ours, "consul": theirs,
	}, "", "  ")
	if err != nil {
		return err
	}
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		return err
	}
	return os.WriteFile(path, append(data, '\n'), 0o644)
}
