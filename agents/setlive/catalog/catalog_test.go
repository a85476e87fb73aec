package catalog

import (
	"context"
	"encoding/json"
	"net/http"
	"strings"
	"testing"

	"github.com/platypus-platform/platypus/agents/internal/testhost"
	"github.com/platypus-platform/platypus/store"
)

type listing map[string]struct {
	Service string
	Port    int
	Meta    map[string]string
}

// listed is what a real Consul has, asked without any code of ours.
func listed(t *testing.T, consul string) (l listing) {
	t.Helper()
	response, err := http.Get("http://" + consul + "/v1/agent/services")
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	if err := json.NewDecoder(response.Body).Decode(&l); err != nil {
		t.Fatal(err)
	}
	return l
}

func put(t *testing.T, consul, path, body string) {
	t.Helper()
	request, _ := http.NewRequest(http.MethodPut, "http://"+consul+"/v1/"+path, strings.NewReader(body))
	response, err := http.DefaultClient.Do(request)
	if err != nil || response.StatusCode != http.StatusOK {
		t.Fatalf("%s: %v %v", path, response, err)
	}
	_ = response.Body.Close()
}

func TestCatalogKeepsItsEntriesAndNoOthers(t *testing.T) {
	consul := testhost.Consul(t, "web1")
	s, err := store.Open(store.Config{Address: consul})
	if err != nil {
		t.Fatal(err)
	}
	put(t, consul, "agent/service/register", `{"ID":"platypus-slug-web9","Name":"slug","Meta":{"platypus":"setlive@web9"}}`)
	put(t, consul, "agent/service/register", `{"ID":"mine","Name":"db"}`)
	put(t, consul, "agent/service/register", `{"ID":"platypus-old-web1","Name":"old","Meta":{"platypus":"setlive@web1"}}`)
	put(t, consul, "agent/service/register", `{"ID":"platypus-held-web1","Name":"held","Meta":{"platypus":"setlive@web1"}}`)

	ctx, stop := context.WithCancel(t.Context())
	c := New(s, "web1")
	done := make(chan struct{})
	go func() { c.Run(ctx); close(done) }()
	defer func() { stop(); <-done }()
	entry := Entry{App: "slug", Cluster: "production", Version: "v1", Port: 1212, Known: true, Healthy: true}
	c.Want(map[string]Entry{"slug": entry}, map[string]bool{"held": true})
	testhost.Eventually(t, "slug is listed", func() bool {
		e := listed(t, consul)["platypus-slug-web1"]
		return e.Service == "slug" && e.Port == 1212 && e.Meta["version"] == "v1" && e.Meta["node"] == "web1" && e.Meta["cluster"] == "production"
	})
	testhost.Eventually(t, "what nobody wants any more is gone", func() bool { return listed(t, consul)["platypus-old-web1"].Service == "" })
	testhost.Eventually(t, "it stands", func() bool { return c.Standing()["slug"] == Standing{} && len(c.Standing()) == 1 })
	for _, id := range []string{"platypus-slug-web9", "mine", "platypus-held-web1"} {
		if listed(t, consul)[id].Service == "" {
			t.Errorf("%s was taken away", id)
		}
	}
	put(t, consul, "agent/service/deregister/platypus-slug-web1", "")
	testhost.Eventually(t, "it is listed again", func() bool { return listed(t, consul)["platypus-slug-web1"].Service == "slug" })
	if err := c.Drop(t.Context(), "slug"); err != nil || listed(t, consul)["platypus-slug-web1"].Service != "" {
		t.Errorf("dropped: %v", err)
	}
}

func TestCatalogSaysWhatIsWrongAndGoesOn(t *testing.T) {
	s, err := store.Open(store.Config{Address: "127.0.0.1:1"})
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(t.Context())
	c := New(s, "web1")
	done := make(chan struct{})
	go func() { c.Run(ctx); close(done) }()
	defer func() { stop(); <-done }()
	c.Want(map[string]Entry{"slug": {App: "slug", Version: "v1"}}, nil)
	if c.Standing()["slug"].Pending != true {
		t.Error("it was not tried, yet it is not pending")
	}
	testhost.Eventually(t, "the fault is told", func() bool { return strings.Contains(c.Standing()["slug"].Problem, "not in the catalog") })
}
