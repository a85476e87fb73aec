package main

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/rogpeppe/go-internal/testscript"
)

// TestFleetStories runs testdata/fleet/*.txtar on every store there is, with a real allocator.
func TestFleetStories(t *testing.T) {
	bin := allocatorBinary(t)
	for name, start := range stores {
		t.Run(name, func(t *testing.T) {
			address := start(t)
			testscript.Run(t, testscript.Params{
				Dir: "testdata/fleet", RequireUniqueNames: true,
				Setup: func(e *testscript.Env) error {
					for _, v := range os.Environ() { // the store of this shell is nobody's business here
						if name, _, _ := strings.Cut(v, "="); strings.HasPrefix(name, "CONSUL_") || strings.HasPrefix(name, "PLATYPUS_") {
							e.Setenv(name, "")
						}
					}
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

// allocatorBinary is the allocator, built as an installation has it.
func allocatorBinary(t *testing.T) string {
	t.Helper()
	if dir := os.Getenv("PLATYPUS_BIN"); dir != "" {
		return dir
	}
	dir := t.TempDir()
	ctx, cancel := context.WithTimeout(context.Background(), 5*hang)
	defer cancel()
	cmd := exec.CommandContext(ctx, "go", "build", "-o", dir+"/", "github.com/platypus-platform/platypus/agents/allocator")
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("build the allocator: %v: %s", err, out)
	}
	return dir
}

// declareFleet declares the fleet of fly-light: 99 machines of 32 cores and 2,000 GB in 10 regions, of which DEN has 9.
func declareFleet(ts *testscript.TestScript, _ bool, _ []string) {
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
	ts.Check(os.WriteFile(ts.MkAbs("fleet.json"), []byte(strings.TrimSuffix(b.String(), ",")+"}"), 0o600))
	ts.Check(ts.Exec("platypus", "apply", "--yes", "--batch", "fleet.json"))
}
