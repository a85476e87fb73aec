package agent

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// TestWhoHoldsTheLock: an agent that finds its directory taken names the one that has it, and what to do.
func TestWhoHoldsTheLock(t *testing.T) {
	if dir, other := os.Getenv("LOCK_DIR"), os.Getenv("LOCK_NAME"); dir != "" {
		_, err := lockDir(dir, other)
		t.Skip("it is the second one, and says: ", err)
	}
	dir := t.TempDir()
	lock, err := lockDir(dir, "preparer")
	if err != nil {
		t.Fatal(err)
	}
	defer lock.Close()
	second := func(name string) string {
		cmd := exec.Command(os.Args[0], "-test.run=^TestWhoHoldsTheLock$", "-test.v")
		cmd.Env = append(os.Environ(), "LOCK_DIR="+dir, "LOCK_NAME="+name)
		out, err := cmd.CombinedOutput()
		if err != nil {
			t.Fatalf("%v: %s", err, out)
		}
		return string(out)
	}
	path := filepath.Join(dir, "lock")
	for name, want := range map[string][]string{
		"preparer":  {"another preparer (pid ", path, "give this one a directory of its own with --state-dir"},
		"dashboard": {"says:  preparer (pid ", path, "start dashboard with --state-dir " + filepath.Join(dir, "dashboard")},
	} {
		for _, w := range want {
			if said := second(name); !strings.Contains(said, w) {
				t.Errorf("%s: %q is not in %s", name, w, said)
			}
		}
	}
	// One that an older agent has taken says nothing of its name.
	if err := os.Truncate(path, 0); err != nil {
		t.Fatal(err)
	}
	if said := second("dashboard"); !strings.Contains(said, "another dashboard (pid ") {
		t.Error(said)
	}
}
