package main

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/rogpeppe/go-internal/testscript"
)

func TestMain(m *testing.M) {
	testscript.Main(tests{m}, map[string]func(){"platypus": main})
}

// tests are all tests of this package, run in an environment that says nothing of the store of this shell.
type tests struct{ *testing.M }

// mine are the variables that tests themselves ask for.
var mine = []string{"PLATYPUS_BIN", "PLATYPUS_CACHE", "PLATYPUS_FAULTS", "PLATYPUS_TEST_CONSUL"}

// Run forgets once, for all, what a test that runs beside others could not set for itself.
func (m tests) Run() int {
	for _, v := range os.Environ() {
		name, _, _ := strings.Cut(v, "=")
		if (strings.HasPrefix(name, "CONSUL_") || strings.HasPrefix(name, "PLATYPUS_")) && !slices.Contains(mine, name) {
			_ = os.Unsetenv(name)
		}
	}
	defer func() {
		if made != "" {
			_ = os.RemoveAll(made)
		}
	}()
	return m.M.Run()
}

// made is the folder of the programs, once a test has wanted them.
var made string

// built makes the programs, once for all tests, in one place as an installation has them. Each takes the linker seconds.
var built = sync.OnceValues(func() (string, error) {
	if dir := os.Getenv("PLATYPUS_BIN"); dir != "" {
		return dir, nil
	}
	dir, err := os.MkdirTemp("", "platypus-bin-")
	if err != nil {
		return "", err
	}
	made = dir
	ctx, cancel := context.WithTimeout(context.Background(), 5*hang)
	defer cancel()
	args := []string{"build", "-o", dir + "/"}
	for _, p := range []string{"deploy/platypus", "agents/allocator", "agents/preparer", "agents/port-authority", "agents/setlive", "agents/recorder", "agents/seed-placer"} {
		args = append(args, "github.com/platypus-platform/platypus/"+p)
	}
	cmd := exec.CommandContext(ctx, "go", args...)
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := cmd.CombinedOutput(); err != nil {
		return "", fmt.Errorf("build the programs: %w: %s", err, out)
	}
	return dir, nil
})

// binaries is the folder of the programs.
func binaries(t testing.TB) string {
	t.Helper()
	dir, err := built()
	if err != nil {
		t.Fatal(err)
	}
	return dir
}
