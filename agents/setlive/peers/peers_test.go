package peers

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"strings"
	"testing"

	"github.com/platypus-platform/platypus/agents/internal/testhost"
	"github.com/platypus-platform/platypus/intent"
	"github.com/platypus-platform/platypus/store"
)

var wish = Wish{App: "slug", Cluster: "production", Why: "for a test"}

// node returns the peers of a node, which reach the store at address.
func node(t *testing.T, address string, name intent.Name) *Peers {
	t.Helper()
	s, err := store.Open(store.Config{Address: address})
	if err != nil {
		t.Fatal(err)
	}
	tree, err := intent.ParseRoot(fmt.Sprintf("peers-%s/", strings.ToLower(t.Name())))
	if err != nil {
		t.Fatal(err)
	}
	p := New(s, tree, name)
	t.Cleanup(p.Close)
	return p
}

func holds(t *testing.T, p *Peers) bool { return p.Confirm(t.Context(), wish.App) == nil }

// TestALeaseThatIsLostStopsNobody: the session of a node is destroyed behind its back, as an operator can and as the
// store does when it heard nothing of it. The node still thinks that it holds the lease; it must not act on it.
func TestALeaseThatIsLostStopsNobody(t *testing.T) {
	address := testhost.Consul(t, "web1")
	one, two := node(t, address, "web1"), node(t, address, "web2")
	one.Want([]Wish{wish})
	testhost.Eventually(t, "web1 has the lease", func() bool { return holds(t, one) })
	two.Want([]Wish{wish})
	testhost.Eventually(t, "web2 says who has it", func() bool { return strings.Contains(two.Seen()["slug"].Reason, "web1 has") })
	if holds(t, two) {
		t.Fatal("two nodes hold one lease")
	}

	destroySessions(t, address, "on web1")
	if !one.Seen()["slug"].Held {
		t.Log("web1 knew of it already")
	}
	if holds(t, one) {
		t.Fatal("web1 would act on a lease that it has lost")
	}
	both := false
	testhost.Eventually(t, "one of them has it again", func() bool {
		a, b := holds(t, one), holds(t, two)
		both = both || a && b && holds(t, one)
		return a || b
	})
	if both {
		t.Error("both acted at once")
	}
}

// destroySessions ends the sessions whose names hold a text.
func destroySessions(t *testing.T, address, text string) {
	t.Helper()
	response, err := http.Get("http://" + address + "/v1/session/list")
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	var sessions []struct{ ID, Name string }
	if err := json.NewDecoder(response.Body).Decode(&sessions); err != nil {
		t.Fatal(err)
	}
	ended := 0
	for _, s := range sessions {
		if strings.Contains(s.Name, text) {
			request, _ := http.NewRequest(http.MethodPut, "http://"+address+"/v1/session/destroy/"+s.ID, nil)
			if response, err = http.DefaultClient.Do(request); err != nil {
				t.Fatal(err)
			}
			_ = response.Body.Close()
			ended++
		}
	}
	if ended == 0 {
		t.Fatalf("no session is named %q: %+v", text, sessions)
	}
}

// TestASessionThatCannotBeRenewedRunsOut cuts the holder off. It gives the lease up by its own clock, before the store
// gives it to another. That the store does so takes it some 20 s, which only PLATYPUS_FAULTS=1 waits for.
func TestASessionThatCannotBeRenewedRunsOut(t *testing.T) {
	address := testhost.Consul(t, "web1")
	wire := testhost.NewStale(t, address)
	one, two := node(t, wire.Address, "web1"), node(t, address, "web2")
	one.Want([]Wish{wish})
	testhost.Eventually(t, "web1 has the lease", func() bool { return holds(t, one) })
	two.Want([]Wish{wish})
	wire.Be(testhost.Cut)
	free := func() bool { return !one.Seen()["slug"].Held }
	testhost.Eventually(t, "web1 gives the lease up by itself", func() bool {
		if two.Confirm(context.Background(), "slug") == nil && !free() {
			t.Fatal("web2 has the lease and web1 thinks that it has it too")
		}
		return free()
	})
	if os.Getenv("PLATYPUS_FAULTS") == "" {
		return
	}
	testhost.Eventually(t, "web2 gets the lease", func() bool { return two.Confirm(context.Background(), "slug") == nil })
	if !free() {
		t.Fatal("web1 thinks that it has the lease again")
	}
}
