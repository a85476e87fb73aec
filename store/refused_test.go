package store_test

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/platypus-platform/platypus/intent"
	"github.com/platypus-platform/platypus/store"
	"github.com/platypus-platform/platypus/store/consultest"
)

// TestWatchNode_OneClusterDenied_KeepsItsLastState lets a node read only one of its two clusters: that app continues,
// and the other one keeps its last state, marked as denied; once it is readable again that is delivered too. Consul
// denies reads in two ways.
func TestWatchNode_OneClusterDenied_KeepsItsLastState(t *testing.T) {
	t.Parallel()
	for _, keyList := range []bool{false, true} {
		t.Run(fmt.Sprintf("enable_key_list_policy=%t", keyList), func(t *testing.T) {
			t.Parallel()
			more := map[string]any{"acl": map[string]any{"enable_key_list_policy": keyList}}
			c := consultest.Start(t, consultest.Config{Token: "root", More: more})
			root, err := store.Open(store.Config{Address: c.Addr, Token: "root"})
			if err != nil {
				t.Fatal(err)
			}
			tree, file := anyTree(t), filepath.Join(t.TempDir(), "token")
			grant := func(apps ...intent.Name) {
				var rules strings.Builder
				prefixes := []intent.Prefix{tree.Node("web1"), tree.Placements("web1")}
				for _, app := range apps {
					prefixes = append(prefixes, tree.Cluster(app, "c"))
				}
				for _, prefix := range prefixes {
					fmt.Fprintf(&rules, "key_prefix %q { policy = \"list\" }\n", prefix)
				}
				if err := os.WriteFile(file, []byte(c.NewToken(rules.String())), 0o600); err != nil {
					t.Fatal(err)
				}
			}
			assign(t, root, tree, "open", "v1")
			assign(t, root, tree, "shut", "v1")
			grant("open", "shut")
			s, err := store.Open(store.Config{Address: c.Addr, TokenFile: file})
			if err != nil {
				t.Fatal(err)
			}
			w := watch(t, s, tree)
			w.until("both", func(n intent.Node) bool { return active("open", "v1")(n) && active("shut", "v1")(n) })

			grant("open")
			reload(t, s)
			put(t, root, tree.Config("shut", "c"), `{"versions":{"v2":"active"}}`) // ends a blocking query with the old token
			refusedIs(t, w, tree, "shut", "v2")
			put(t, root, tree.Config("shut", "c"), `{"versions":{"v3":"active"}}`)
			put(t, root, tree.Config("open", "c"), `{"versions":{"v2":"active"}}`)
			w.until("the other app goes on", active("open", "v2"))
			once, err := s.ReadNode(t.Context(), tree, "web1", store.Consistent)
			if err != nil || once.Refusal(tree.Cluster("shut", "c")) == "" || once.Refusal(tree.Cluster("open", "c")) != "" {
				t.Errorf("read once: %+v, %v", once, err)
			}

			grant("open", "shut")
			reload(t, s)
			refusedIs(t, w, tree, "", "v3")
			if w.wrong.Load() > 0 {
				t.Errorf("one cluster's refusal is told as the store's: %v", *w.err.Load())
			}
		})
	}
}

func reload(t *testing.T, s *store.Store) {
	t.Helper()
	if err := s.Reload(); err != nil {
		t.Fatal(err)
	}
}

// refusedIs waits for a snapshot in which only this app's cluster is denied and shut has that version.
func refusedIs(t *testing.T, w *watched, tree intent.Tree, app, version intent.Name) {
	t.Helper()
	for timeout := time.After(hang); ; {
		select {
		case s := <-w.from:
			refused := s.Refusal(tree.Cluster("shut", "c")) != ""
			if refused == (app != "") && len(s.Refused) <= 1 && active("shut", version)(intent.ReadNode(tree, "web1", s.Pairs)) {
				return
			}
		case <-timeout:
			t.Fatalf("never told that %q is refused and shut at %s", app, version)
		}
	}
}
