package main

import (
	"bytes"
	"context"
	"encoding/json"
	"net/http"
	"path/filepath"
	"strings"
	"testing"

	"github.com/platypus-platform/platypus/deploy/acl"
	"github.com/platypus-platform/platypus/store/consultest"
)

// master is the management token of the Consul of this test.
const master = "00000000-1111-2222-3333-444444444444"

// TestTokens lets people with the tokens of deploy/acl do their work, and nothing beyond it, on a Consul that denies by
// default.
func TestTokens(t *testing.T) {
	t.Parallel()
	address, dir := startGuardedConsul(t), t.TempDir()
	operator := token(t, address, acl.Operator, "")
	developer := token(t, address, acl.Developer, "slug/production")
	preparer, setlive := token(t, address, acl.Preparer, "web1"), token(t, address, acl.Setlive, "web1")
	placer := token(t, address, acl.SeedPlacer, "web1")
	file, other := filepath.Join(dir, "slug.json"), filepath.Join(dir, "other.json")
	write(t, file, `{"nodes/web1/slug": {"cluster": "production"}, "clusters/slug/production/config": {"versions": {"1.0": "active"}, "min_nodes": 1},
		"clusters/slug/production/deploy_config": {"basedir": "/srv/slug"}}`)
	write(t, other, `{"clusters/slug/production/deploy_config": {"basedir": "/srv/mine"}}`)
	for _, c := range []struct {
		who, says string
		code      int
		args      []string
	}{
		{"nobody", "the store refuses: check the token and its policies", exitError, []string{"apply", file}},
		{operator, "written: 3 changes", 0, []string{"apply", file}},
		{developer, "written: slug 1.1 is active", 0, []string{"rollout", "slug", "1.1"}},
		{developer, "platypus acl prints the policy that is needed", exitError, []string{"apply", other}},
		{developer, `"proof": "accessor"`, 0, []string{"log", "-o", "json", "-n", "1"}},
		{developer, "policy that is needed", exitError, []string{"fork", "mine"}},
		{operator, "forked: staging is commit", 0, []string{"fork", "staging"}},
		{operator, "written: slug 1.2", 0, []string{"--root", "platypus/forks/staging", "rollout", "slug", "1.2"}},
		{operator, "as commit 3", 0, []string{"join", "staging"}},
		{developer, "preparer: no report", exitPending, []string{"status", "--check"}},
		{developer, "may write [history] and may not write [nodes config deploy_config confirm]", 0, []string{"doctor"}},
		{operator, "may write [nodes config deploy_config confirm history]", 0, []string{"doctor"}},
		{"nobody", "give the token the policy of platypus acl operator", exitError, []string{"doctor"}},
		{preparer, "it is what preparer on web1 needs", 0, []string{"doctor", "--as", "preparer", "--node", "web1"}},
		{preparer, "preparer cannot read the intent of web2", exitError, []string{"doctor", "--as", "preparer", "--node", "web2"}},
		{setlive, "it is what setlive on web1 needs", 0, []string{"doctor", "--as", "setlive", "--node", "web1"}},
		{placer, "it is what seed-placer on web1 needs", 0, []string{"doctor", "--as", "seed-placer", "--node", "web1"}},
		{placer, "seed-placer cannot read confirmations", exitError, []string{"doctor", "--as", "seed-placer", "--node", "web2"}},
		{setlive, "seed-placer cannot read platypus/intent/seeds/", exitError, []string{"doctor", "--as", "seed-placer", "--node", "web1"}},
		{setlive, "give the token the policy of platypus acl preparer --node web1", exitError, []string{"doctor", "--as", "preparer", "--node", "web1"}},
		{operator, "port-authority may not write platypus/status/port-authority/web1", exitError, []string{"doctor", "--as", "port-authority", "--node", "web1"}},
		{"nobody", "give the token the policy of platypus acl preparer --node web1", exitError, []string{"doctor", "--as", "preparer", "--node", "web1"}},
	} {
		var out bytes.Buffer
		tokenFile := filepath.Join(dir, "token")
		write(t, tokenFile, c.who)
		args := append([]string{"platypus", "--http-addr", address, "--token-file", tokenFile}, c.args...)
		if c.who == "nobody" {
			args = append([]string{"platypus", "--http-addr", address}, c.args...)
		}
		code := run(context.Background(), args, stdio{strings.NewReader(""), &out, &out})
		if code != c.code || !strings.Contains(out.String(), c.says) {
			t.Errorf("%v: exit %d, want %d and %q:\n%s", c.args, code, c.code, c.says, &out)
		}
	}
}

// token makes a token with one policy.
func token(t *testing.T, address, who, subject string) string {
	t.Helper()
	rules, err := acl.Policy(who, subject, "platypus/")
	if err != nil {
		t.Fatal(err)
	}
	ask(t, address, "/v1/acl/policy", map[string]any{"Name": who, "Rules": rules})
	return ask(t, address, "/v1/acl/token", map[string]any{"Policies": []map[string]string{{"Name": who}}})["SecretID"].(string)
}

func ask(t *testing.T, address, path string, question any) (answer map[string]any) {
	t.Helper()
	body, err := json.Marshal(question)
	if err != nil {
		t.Fatal(err)
	}
	request, err := http.NewRequest(http.MethodPut, "http://"+address+path, bytes.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	request.Header.Set("X-Consul-Token", master)
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	if err := json.NewDecoder(response.Body).Decode(&answer); err != nil || response.StatusCode != http.StatusOK {
		t.Fatalf("%s: %s: %v", path, response.Status, err)
	}
	return answer
}

func startGuardedConsul(t *testing.T) string {
	t.Helper()
	more := map[string]any{"acl": map[string]any{"enable_key_list_policy": true}}
	return consultest.Start(t, consultest.Config{Token: master, More: more}).Addr
}
