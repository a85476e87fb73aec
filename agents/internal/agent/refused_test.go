package agent_test

import (
	"os"
	"strings"
	"testing"

	"github.com/platypus-platform/platypus/intent"
	"github.com/platypus-platform/platypus/store"
	"github.com/platypus-platform/platypus/store/consultest"
)

// TestOfNode_OneAppDenied_OthersGoOn takes away the right to read the cluster of one app, on a real Consul: that app is
// held as it is and told as such, the other goes on, also when the agent starts anew.
func TestOfNode_OneAppDenied_OthersGoOn(t *testing.T) {
	c := consultest.Start(t, consultest.Config{Token: "root"})
	w := newHarness(t)
	var err error
	if w.store, err = store.Open(store.Config{Address: c.Addr, Token: "root"}); err != nil {
		t.Fatal(err)
	}
	grant := func(more string) {
		secret := c.NewToken(`key_prefix "platypus/" { policy = "write" } session_prefix "" { policy = "write" } ` + more)
		if err := os.WriteFile(w.path("token"), []byte(secret), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	held := func() bool {
		r := w.report()
		shut := r.Subjects["shut"]
		return shut.Phase == intent.PhaseHeld && strings.Contains(shut.Reason, "the store refuses") && !r.Converged && r.Subjects["open"].Phase == "converged"
	}
	w.assign("open", "v1")
	w.assign("shut", "v1")
	grant("")
	w.start("--http-addr="+c.Addr, "--token-file="+w.path("token"))
	w.until("both", func() bool { return w.has("open", "v1")() && w.has("shut", "v1")() })

	grant(`key_prefix "platypus/intent/clusters/shut/" { policy = "deny" }`)
	w.stop()
	w.start("--http-addr="+c.Addr, "--token-file="+w.path("token"))
	w.until("held", held)
	w.assign("shut", "v2")
	w.assign("open", "v2")
	w.until("the other goes on", w.has("open", "v2"))
	w.until("still held", held)
	if !w.has("shut", "v1")() {
		t.Error("the app was touched")
	}
	grant("")
	w.until("told of the new token", func() bool { return w.has("shut", "v2")() && w.report().Converged })
	w.stop()
}
