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
	Bar       float64 `json:"bar"`
	AtLeast   bool    `json:"at_least,omitempty"` // the bar is a floor, not a ceiling
	Measured  float64 `json:"measured"`
	Found     bool    `json:"found"`
	Met       bool    `json:"met"`
}

func main() {
	out := flag.String("out", "dist/bench.json", "where to keep the figures")
	only := flag.String("only", "", "run only benchmarks whose package or name holds this text")
	flag.Parse()
	measured := map[string]map[string]float64{}
	for _, pkg := range packages(*only) {
		fmt.Fprintf(os.Stderr, "== %s\n", pkg)
		if err := run(pkg, *only, measured); err != nil {
			fmt.Fprintf(os.Stderr, "%s: %v\n", pkg, err)
		}
	}
	for i := range figures {
		f := &figures[i]
		f.Measured, f.Found = measured[f.Benchmark][f.Metric]
		f.Met = f.Found && (f.AtLeast && f.Measured >= f.Bar || !f.AtLeast && f.Measured <= f.Bar)
	}
	print(figures)
	if err := keep(*out, measured); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

// packages lists those that the figures name, each once.
func packages(only string) (names []string) {
	for _, f := range figures {
		if !slices.Contains(names, f.Package) && (only == "" || strings.Contains(f.Package+f.Benchmark, only)) {
			names = append(names, f.Package)
		}
	}
	return names
}

// line is what go test prints of a benchmark: its name, how often it ran, then pairs of value and unit.
var line = regexp.MustCompile(`^(Benchmark\S+?)(?:-\d+)?\s+\d+\s+(.*)$`)

// run runs one package's benchmarks and notes their metrics.
func run(pkg, only string, measured map[string]map[string]float64) error {
	var wanted []string
	for _, f := range figures {
		if f.Package == pkg && (only == "" || strings.Contains(f.Package+f.Benchmark, only)) {
			name, _, _ := strings.Cut(f.Benchmark, "/")
			wanted = append(wanted, "^"+name+"$")
		}
	}
	cmd := exec.Command("go", "test", "-run", "^$", "-bench", strings.Join(wanted, "|"), "-timeout", "30m", pkg)
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
		if m := line.FindStringSubmatch(lines.Text()); m != nil {
			measured[m[1]] = metrics(m[2])
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

func keep(path string, measured map[string]map[string]float64) error {
	data, err := json.MarshalIndent(map[string]any{
		"time": time.Now().UTC().Format(time.RFC3339), "cpus": runtime.NumCPU(), "go": runtime.Version(),
		"figures": figures, "measured": measured,
	}, "", "  ")
	if err != nil {
		return err
	}
	if err := os.MkdirAll("dist", 0o755); err != nil {
		return err
	}
	return os.WriteFile(path, append(data, '\n'), 0o644)
}
