package store_test

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/platypus-platform/platypus/intent"
	"github.com/platypus-platform/platypus/store"
	"github.com/platypus-platform/platypus/store/consultest"
	"github.com/platypus-platform/platypus/store/embedtest"
)

// TestWatch_SnapshotRestored_DeliversOldState restores an older state of a real Consul while a node is watched: the
// index goes back, and the watch delivers the restored state and later changes.
func TestWatch_SnapshotRestored_DeliversOldState(t *testing.T) {
	t.Parallel()
	c := consultest.Start(t, consultest.Config{Data: t.TempDir()})
	s, tree := opened(t, c.Addr), anyTree(t)
	assign(t, s, tree, "slug", "v1")
	_, older, err := s.List(t.Context(), tree.Intent(), store.Consistent)
	if err != nil {
		t.Fatal(err)
	}
	snapshot := c.Must("GET", "/v1/snapshot", "")
	for i := range 100 {
		put(t, s, "elsewhere", fmt.Sprint(i)) // raise the index
	}
	put(t, s, tree.Config("slug", "c"), `{"versions":{"v2":"active"}}`)
	assign(t, s, tree, "second", "v1")
	w := watch(t, s, tree)
	w.until("slug at v2", active("slug", "v2"))
	w.back = new(string)
	c.Must("PUT", "/v1/snapshot", snapshot)
	w.until("slug at v1 again, alone", func(n intent.Node) bool { return len(n.Apps) == 1 && active("slug", "v1")(n) })
	if !strings.HasPrefix(*w.back, "the store went back from index ") {
		t.Errorf("that it was restored is not seen: %q", *w.back)
	}
	*w.back = ""
	if _, now, err := s.List(t.Context(), tree.Intent(), store.Consistent); err != nil || now != older {
		t.Errorf("index %d, want %d: %v", now, older, err)
	}
	put(t, s, tree.Config("slug", "c"), `{"versions":{"v3":"active"}}`)
	w.until("slug at v3", active("slug", "v3"))
	if *w.back != "" {
		t.Errorf("a write after it is taken for another one: %s", *w.back)
	}
}

// TestStore_ExportImport_KeepsValues copies a tree between both kinds of stores and back with the consul command line,
// with awkward values.
func TestStore_ExportImport_KeepsValues(t *testing.T) {
	binary := consultest.Need(t)
	consul := func(address string, args ...string) string {
		t.Helper()
		cmd := exec.Command(binary, args...)
		cmd.Env = append(os.Environ(), "CONSUL_HTTP_ADDR="+address)
		out, err := cmd.CombinedOutput()
		if err != nil {
			t.Fatalf("consul %v: %v: %s", args, err, out)
		}
		return string(out)
	}
	each(t, func(t *testing.T, from *store.Store, tree intent.Tree) {
		prefix := strings.TrimSuffix(string(tree.Own()), "/")
		for key, value := range map[string]string{"empty": "", "binary": "\x00\xff\n", "text": "äöü", "large": strings.Repeat("x", 200<<10), "a/b/c": "deep"} {
			put(t, from, prefix+"/"+key, value)
		}
		want := consul(from.Address(), "kv", "export", prefix)
		file := filepath.Join(t.TempDir(), "export.json")
		if err := os.WriteFile(file, []byte(want), 0o600); err != nil {
			t.Fatal(err)
		}
		for kind, address := range map[string]string{"embedded": embedtest.Start(t), "consul": consultest.Start(t, consultest.Config{}).Addr} {
			consul(address, "kv", "import", "@"+file)
			if got := consul(address, "kv", "export", prefix); got != want {
				t.Errorf("on %s: %d bytes, want %d", kind, len(got), len(want))
			}
		}
	})
}
