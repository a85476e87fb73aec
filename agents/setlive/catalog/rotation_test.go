package catalog

import (
	"context"
	"encoding/json"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/platypus-platform/platypus/agents/internal/testhost"
	"github.com/platypus-platform/platypus/store"
	"github.com/platypus-platform/platypus/store/consultest"
)

const management = "9e1c8a39-0000-4000-8000-000000000001"

// manage asks a Consul with access rules as somebody who may do everything.
func manage(t *testing.T, consul, method, path, body string, into any) {
	t.Helper()
	request, _ := http.NewRequest(method, "http://"+consul+"/v1/"+path, strings.NewReader(body))
	request.Header.Set("X-Consul-Token", management)
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	data, err := io.ReadAll(response.Body)
	if err != nil || response.StatusCode != http.StatusOK {
		t.Fatalf("%s %s: %s: %s %v", method, path, response.Status, data, err)
	}
	if err := json.Unmarshal(data, into); err != nil {
		t.Fatalf("%s: %v", data, err)
	}
}

// TestCatalog_TokenReplaced_HealthStillReachesTheCatalog: Consul writes to the catalog with the token of the registration.
func TestCatalog_TokenReplaced_HealthStillReachesTheCatalog(t *testing.T) {
	consul := consultest.Start(t, consultest.Config{Node: "web1", Token: management}).Addr
	var policy struct{ ID string }
	manage(t, consul, "PUT", "acl/policy", `{"Name":"setlive","Rules":"service_prefix \"\" {policy=\"write\"} agent_prefix \"\" {policy=\"read\"} node_prefix \"\" {policy=\"read\"}"}`, &policy)
	newToken := func() (token struct{ AccessorID, SecretID string }) {
		manage(t, consul, "PUT", "acl/token", `{"Policies":[{"ID":"`+policy.ID+`"}]}`, &token)
		return token
	}
	first, second := newToken(), newToken()
	file := filepath.Join(t.TempDir(), "token")
	if err := os.WriteFile(file, []byte(first.SecretID), 0o600); err != nil {
		t.Fatal(err)
	}
	s, err := store.Open(store.Config{Address: consul, TokenFile: file})
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(t.Context())
	c := New(s, "web1")
	done := make(chan struct{})
	go func() { c.Run(ctx); close(done) }()
	defer func() { stop(); <-done }()
	status := func() string {
		var entries []struct {
			Checks []struct{ CheckID, Status string }
		}
		manage(t, consul, "GET", "health/service/slug", "", &entries)
		for _, e := range entries {
			for _, check := range e.Checks {
				if check.CheckID == "service:platypus-slug-web1" {
					return check.Status
				}
			}
		}
		return ""
	}
	entry := Entry{App: "slug", Cluster: "production", Version: "v1", Known: true, Healthy: true}
	c.Want(map[string]Entry{"slug": entry}, nil)
	testhost.Eventually(t, "slug passes", func() bool { return status() == "passing" })

	if err := os.WriteFile(file, []byte(second.SecretID), 0o600); err != nil {
		t.Fatal(err)
	}
	var deleted bool
	manage(t, consul, "DELETE", "acl/token/"+first.AccessorID, "", &deleted)
	if err := s.Reload(); err != nil {
		t.Fatal(err)
	}
	entry.Healthy, entry.Reason = false, "it hangs"
	c.Want(map[string]Entry{"slug": entry}, nil)
	testhost.Eventually(t, "the catalog learns that it is not healthy", func() bool { return status() == "critical" })

	// What nobody may write is said.
	manage(t, consul, "DELETE", "acl/token/"+second.AccessorID, "", &deleted)
	testhost.Eventually(t, "the fault is told", func() bool { return strings.Contains(c.Standing()["slug"].Problem, "not in the catalog") })
}

// TestCatalog_RegisteredAgain_KeepsItsHealth: who counts the healthy instances meanwhile must miss none.
func TestCatalog_RegisteredAgain_KeepsItsHealth(t *testing.T) {
	consul := testhost.Consul(t, "web1")
	s, err := store.Open(store.Config{Address: consul})
	if err != nil {
		t.Fatal(err)
	}
	e := Entry{App: "slug", Version: "v1", Check: store.Check{TCP: consul, Interval: every, Timeout: every}}
	passing := func() bool {
		instances, err := s.Instances(t.Context(), "slug")
		return err == nil && len(instances) == 1 && instances[0].Passing
	}
	register := func() { // as a setlive that has just begun
		c := New(s, "web1")
		if problems := c.sync(t.Context(), map[string]Entry{"slug": e}, nil); len(problems) > 0 {
			t.Fatal(problems)
		}
	}
	register()
	testhost.Eventually(t, "it passes", passing)
	for range 3 {
		register()
		for range 20 {
			if !passing() {
				t.Fatal("it does not pass once it was registered again")
			}
		}
	}
}
