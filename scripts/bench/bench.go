//go:build ignore

// Command bench runs the benchmarks that stand for a promise, prints each figure with its reference and its limit, and
// writes everything as JSON. Run it from the top of the repository:
//
//	go run scripts/bench/*.go [-out dist/bench.json] [-only TEXT]
//
// The exit code does not depend on the figures, because a busy machine is not a defect.
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

// rounds is how often each store is measured, in turn; the median counts.
const rounds = 3

func main() {
	out := flag.String("out", "dist/bench.json", "where to keep the figures")
	only := flag.String("only", "", "measure only figures whose package or benchmark holds this text")
	flag.Parse()
	figures = slices.DeleteFunc(figures, func(f figure) bool { return !strings.Contains(f.Package+f.Benchmark, *only) })
	ours, theirs := results{}, results{}
	for _, pkg := range packages() {
		fmt.Fprintf(os.Stderr, "== %s\n", pkg)
		if err := run(pkg, names(pkg, false), "", ours); err != nil {
			fmt.Fprintf(os.Stderr, "%s: %v\n", pkg, err)
		}
		if pairs := names(pkg, true); len(pairs) > 0 {
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

// packages lists the packages of the figures, without duplicates.
func packages() (names []string) {
	for _, f := range figures {
		if !slices.Contains(names, f.Package) {
			names = append(names, f.Package)
		}
	}
	return names
}

// names lists the benchmarks of a package: those also measured on Consul, or the others.
func names(pkg string, consul bool) (names []string) {
	for _, f := range figures {
		top, _, _ := strings.Cut(f.Benchmark, "/")
		if name := "^" + top + "$"; f.Package == pkg && f.Consul == consul && !slices.Contains(names, name) {
			names = append(names, name)
		}
	}
	return names
}

// besideConsul measures in turn on the embedded store and on a single-server Consul with data on the same disk.
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
	time.Sleep(10 * time.Second) // until it has a leader
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

// line matches the output of go test for a benchmark: its name, the iterations, then pairs of value and unit.
var line = regexp.MustCompile(`^(Benchmark\S+?)(?:-\d+)?\s+\d+\s+(.*)$`)

// run runs benchmarks of one package, on the store at addr if given, and records their metrics.
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
