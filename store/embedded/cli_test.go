package embedded_test

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/platypus-platform/platypus/store/consultest"
)

// TestCommandLine runs the consul command line on the store.
func TestCommandLine(t *testing.T) {
	binary := consultest.Need(t)
	addr := launch(t, t.TempDir(), "127.0.0.1:0").addr
	run := func(want string, args ...string) string {
		t.Helper()
		cmd := exec.Command(binary, args...)
		cmd.Env = append(os.Environ(), "CONSUL_HTTP_ADDR=http://"+addr)
		out, err := cmd.CombinedOutput()
		if err != nil || !strings.Contains(string(out), want) {
			t.Errorf("consul %v: %q, %v, want %q", args, out, err, want)
		}
		return string(out)
	}
	run("Success! Data written to: a/b", "kv", "put", "-flags=3", "a/b", "one")
	run("one", "kv", "get", "a/b")
	run("Flags            3", "kv", "get", "-detailed", "a/b")
	run("a/", "kv", "get", "-keys", "-separator=/", "")
	run("Success! Data written to: a/c", "kv", "put", "-cas", "-modify-index=0", "a/c", "two")
	export := filepath.Join(t.TempDir(), "export.json")
	if err := os.WriteFile(export, []byte(run(`"key": "a/b"`, "kv", "export", "a/")), 0o600); err != nil {
		t.Fatal(err)
	}
	run("Success! Deleted keys with prefix: a/", "kv", "delete", "-recurse", "a/")
	run("Imported: a/c", "kv", "import", "@"+export)
	run("two", "kv", "get", "a/c")
	run("Success! Deleted key: a/c", "kv", "delete", "a/c")
	run("held", "lock", "locks/x", "echo held")
	run("n1", "members")
	run("n1", "catalog", "nodes")
}
