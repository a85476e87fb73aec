package main

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/testscript"
)

// TestFleetStories runs testdata/fleet/*.txtar on every store there is, with a real allocator.
func TestFleetStories(t *testing.T) {
	t.Parallel()
	bin := binaries(t)
	for name, start := range stores {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			address := start(t)
			testscript.Run(t, testscript.Params{
				Dir: "testdata/fleet", RequireUniqueNames: true,
				Setup: func(e *testscript.Env) error {
					root := "fleet-" + strings.ReplaceAll(filepath.Base(e.WorkDir), ".", "-")
					e.Setenv("CONSUL_HTTP_ADDR", address)
					e.Setenv("PLATYPUS_ROOT", root)
					e.Setenv("ROOT", root)
					e.Setenv("PATH", bin+":"+e.Getenv("PATH"))
					e.Setenv("PLATYPUS_STATE_DIR", filepath.Join(e.WorkDir, "state"))
					return nil
				},
				Cmds: map[string]func(*testscript.TestScript, bool, []string){"kv": kv, "inventory": declareFleet},
			})
		})
	}
}

// BenchmarkLaunch measures launch from the start of the program to its end, one after the other as a script would, with
// that of a program which only starts beside each.
func BenchmarkLaunch(b *testing.B) {
	bin := binaries(b)
	for name, start := range stores {
		b.Run(name, func(b *testing.B) {
			env := append(os.Environ(), "CONSUL_HTTP_ADDR="+start(b), "PLATYPUS_ROOT=bench", "NO_COLOR=1")
			run := func(stdin string, args ...string) time.Duration {
				cmd := exec.Command(filepath.Join(bin, "platypus"), args...)
				cmd.Env, cmd.Stdin = env, strings.NewReader(stdin)
				from := time.Now()
				if out, err := cmd.CombinedOutput(); err != nil {
					b.Fatalf("%v: %v: %s", args, err, out)
				}
				return time.Since(from)
			}
			run(fleetJSON(), "apply", "--yes", "--batch", "-")
			allocator := exec.Command(filepath.Join(bin, "allocator"), "--node", "a1", "--state-dir", b.TempDir())
			allocator.Env = env
			if err := allocator.Start(); err != nil {
				b.Fatal(err)
			}
			b.Cleanup(func() {
				_ = allocator.Process.Kill()
				_ = allocator.Wait()
			})
			run("", "launch", "--vm-memory", "8", "--vm-cores", "1", "--vm-region", "SIN", "first")
			var spans, starts []time.Duration
			for n := 0; b.Loop(); n++ {
				starts = append(starts, run("", "version"))
				spans = append(spans, run("", "launch", "--vm-memory", "8", "--vm-cores", "1", "--vm-region", "SIN", fmt.Sprintf("vm%d", n)))
			}
			slices.Sort(spans)
			slices.Sort(starts)
			b.ReportMetric(float64(spans[len(spans)/2].Microseconds())/1000, "launch-ms")
			b.ReportMetric(float64(starts[len(starts)/2].Microseconds())/1000, "start-ms")
			b.ReportMetric(0, "ns/op")
		})
	}
}

// declareFleet declares the fleet of fly-light: 99 machines of 32 cores and 2,000 GB in 10 regions, of which DEN has 9.
func declareFleet(ts *testscript.TestScript, _ bool, _ []string) {
	ts.Check(os.WriteFile(ts.MkAbs("fleet.json"), []byte(fleetJSON()), 0o600))
	ts.Check(ts.Exec("platypus", "apply", "--yes", "--batch", "fleet.json"))
}

func fleetJSON() string {
	var b strings.Builder
	b.WriteString("{")
	for _, code := range strings.Fields("ARN BOM DEN GDL GRU HKG JNB MEL NRT SIN") {
		fmt.Fprintf(&b, "%q:{},", "regions/"+code)
		for i := range 10 {
			if code != "DEN" || i > 0 {
				fmt.Fprintf(&b, "%q:{\"cores\":32,\"memory\":\"2000GB\"},", fmt.Sprintf("machines/%s/%s-m%d", code, strings.ToLower(code), i))
			}
		}
	}
	return strings.TrimSuffix(b.String(), ",") + "}"
}
