package acl_test

import (
	"fmt"
	"math/rand/v2"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"

	"github.com/platypus-platform/platypus/deploy/acl"
)

// grant is the expected access of a policy, written by hand independently of the templates.
type grant struct {
	name, subject string
	writes        []string // exact keys, or prefixes that end in "/"
	reads         []string // prefixes
	session       bool
	service       string // the one service it may register, or "*"
}

// grants returns the expected access of each policy; intent is below wish, and what agents write is below own.
func grants(wish, own string) []grant {
	agent := func(name string, more ...string) grant {
		return grant{name, "web1",
			append(more, own+"status/"+name+"/web1", own+"alive/web1/"+name),
			[]string{wish + "nodes/web1/", wish + "clusters/", own + "placement/nodes/web1/", own + "confirm/web1/"},
			true, map[string]string{acl.Setlive: "*"}[name]}
	}
	all := []string{own + "status/", own + "alive/", own + "placement/", own + "ledger/", own + "locks/", own + "history/"}
	intents := []string{"platypus/intent/"}
	if wish == "" {
		intents = []string{"nodes/", "clusters/", "regions/", "machines/", "vms/", "seeds/", "sites/", "blobs/", "services/", "routes/"}
	}
	return []grant{
		agent(acl.Preparer),
		agent(acl.PortAuthority),
		agent(acl.Setlive, own+"locks/"),
		{acl.Recorder, "web1", []string{own + "history/", own + "status/recorder/web1", own + "alive/web1/recorder"}, intents, true, ""},
		{acl.Allocator, "web1", []string{own + "ledger/", own + "placement/vms/", own + "placement/nodes/", own + "status/allocator/web1", own + "alive/web1/allocator"},
			[]string{wish + "nodes/", wish + "regions/", wish + "machines/", wish + "vms/", own + "status/setlive/", own + "alive/", own + "confirm/web1/"}, true, ""},
		{acl.SeedPlacer, "web1", []string{own + "placement/hosts/web1", own + "placement/seeds/", own + "placement/blobs/", own + "status/seed-placer/web1", own + "alive/web1/seed-placer"},
			[]string{wish + "seeds/", wish + "sites/", wish + "blobs/", wish + "machines/", own + "placement/hosts/", own + "placement/seeds/", own + "placement/blobs/", own + "confirm/web1/"}, true, "seed-placer"},
		{acl.Dashboard, "", nil, []string{wish + "regions/", wish + "machines/", wish + "vms/",
			own + "ledger/", own + "placement/", own + "status/", own + "alive/", own + "history/"}, false, ""},
		{acl.Developer, "slug/production", []string{wish + "clusters/slug/production/config", own + "history/"},
			append(slices.Clone(all), append(intents, own+"forks/")...), false, ""},
		{acl.Operator, "", append(slices.Clone(intents), own+"confirm/", own+"history/", own+"forks/", own+"ledger/", own+"placement/vms/", own+"placement/nodes/"),
			append(slices.Clone(all), own+"confirm/"), false, ""},
	}
}

// keys returns one key of every kind, for this node, for others, and for names with the same prefix.
func keys(wish, own string) []string {
	list := []string{wish + "regions/SIN", wish + "machines/SIN/m1", wish + "vms/v", wish + "seeds/s", wish + "sites/s", wish + "blobs/b",
		wish + "services/s", wish + "routes/r", own + "ledger/SIN/m1", own + "placement/vms/v.0",
		own + "placement/seeds/s/web1", own + "placement/seeds/s/web2", own + "placement/blobs/b/web1", own + "history/intent/1", own + "locks/slug/production/turn", own + "forks/staging/intent/nodes/web1/slug", "other/tool"}
	for _, node := range []string{"web1", "web10", "web2"} {
		list = append(list, wish+"nodes/"+node+"/slug", own+"placement/nodes/"+node+"/slug", own+"placement/hosts/"+node)
		for _, agent := range []string{"preparer", "port-authority", "setlive", "allocator", "recorder", "seed-placer"} {
			list = append(list, own+"alive/"+node+"/"+agent, own+"status/"+agent+"/"+node, own+"confirm/"+node+"/"+agent)
		}
	}
	for _, app := range []string{"slug", "slugs"} {
		for _, cluster := range []string{"production", "staging"} {
			at := wish + "clusters/" + app + "/" + cluster + "/"
			list = append(list, at+"config", at+"deploy_config")
		}
	}
	return list
}

// mutateKey returns a key similar to k and usually different.
func mutateKey(r *rand.Rand, k string) string {
	parts := strings.Split(k, "/")
	i := r.IntN(len(parts))
	switch r.IntN(6) {
	case 0:
		return k + "/x"
	case 1:
		return k + "x"
	case 2:
		return strings.Join(parts[:i+1], "/")
	case 3:
		parts[i] += "0"
	case 4:
		parts[i] = strings.ToUpper(parts[i])
	default:
		parts = slices.Insert(parts, i, "z")
	}
	return strings.Join(parts, "/")
}

// under reports whether key is in the list of exact keys and prefixes that end in "/".
func under(key string, list []string) bool {
	return slices.ContainsFunc(list, func(e string) bool {
		return key == e || strings.HasSuffix(e, "/") && strings.HasPrefix(key, e)
	})
}

func TestPolicies(t *testing.T) {
	for _, keyList := range []bool{false, true} {
		t.Run(fmt.Sprintf("enable_key_list_policy=%t", keyList), func(t *testing.T) {
			c := startConsul(t, keyList)
			// The nodes of others, for which no token here may create a session.
			c.must("PUT", "/v1/catalog/register", `{"Node": "web2", "Address": "127.0.0.2"}`)
			for _, tree := range []struct{ root, wish, own string }{
				{"platypus/", "platypus/intent/", "platypus/"}, {"", "", "platypus/"},
			} {
				for _, g := range grants(tree.wish, tree.own) {
					t.Run(fmt.Sprintf("%s root=%q", g.name, tree.root), func(t *testing.T) {
						rules, err := acl.Policy(g.name, g.subject, tree.root)
						if err != nil {
							t.Fatal(err)
						}
						c := consul{c.Server, t}
						token := c.token(rules)
						all := keys(tree.wish, tree.own)
						checkWrites(c, token, g, all)
						checkReads(c, token, g, all, keyList)
						checkBeyondKV(c, token, g)
					})
				}
			}
		})
	}
}

// checkWrites tries to write every key, and many similar ones.
func checkWrites(c consul, token string, g grant, all []string) {
	r := rand.New(rand.NewPCG(2014, uint64(len(all))))
	tries := slices.Clone(all)
	for range 400 {
		tries = append(tries, mutateKey(r, all[r.IntN(len(all))]))
	}
	allowed := 0
	for _, key := range tries {
		path, want := "/v1/kv/"+escape(key), http.StatusForbidden
		if under(key, g.writes) {
			want = http.StatusOK
			allowed++
		}
		for _, method := range []string{"PUT", "DELETE"} {
			if code, answer := c.do(token, method, path, "{}"); code != want {
				c.t.Errorf("%s %s: %d %s, want %d", method, key, code, answer, want)
			}
		}
	}
	if allowed < len(g.writes) {
		c.t.Errorf("only %d writes allowed", allowed)
	}
	if code, _ := c.do(token, "DELETE", "/v1/kv/?recurse", ""); code != http.StatusForbidden {
		c.t.Errorf("delete of the whole tree: %d", code)
	}
}

// checkReads fills the tree and reads each key separately, and each part of the tree as a watcher does.
func checkReads(c consul, token string, g grant, all []string, keyList bool) {
	for _, key := range all {
		c.must("PUT", "/v1/kv/"+escape(key), "{}")
	}
	reads := slices.Concat(g.reads, g.writes)
	for _, key := range all {
		want := http.StatusForbidden
		if under(key, reads) {
			want = http.StatusOK
		}
		if code, answer := c.do(token, "GET", "/v1/kv/"+escape(key), ""); code != want {
			c.t.Errorf("GET %s: %d %s, want %d", key, code, answer, want)
		}
	}
	for _, prefix := range g.reads {
		code, answer := c.do(token, "GET", "/v1/kv/"+escape(prefix)+"?recurse", "")
		n := 0
		for _, key := range all {
			if strings.HasPrefix(key, prefix) {
				n++
			}
		}
		if got := strings.Count(answer, `"Key"`); code != http.StatusOK || got != n {
			c.t.Errorf("list %s: %d with %d keys, want %d", prefix, code, got, n)
		}
	}
	// Without the key list policy, Consul answers a forbidden list like an empty one.
	want := http.StatusNotFound
	if keyList {
		want = http.StatusForbidden
	}
	if code, answer := c.do(token, "GET", "/v1/kv/other/?recurse", ""); code != want {
		c.t.Errorf("list other/: %d %s, want %d", code, answer, want)
	}
}

// checkBeyondKV tries sessions and services.
func checkBeyondKV(c consul, token string, g grant) {
	code := func(granted bool) int {
		if granted {
			return http.StatusOK
		}
		return http.StatusForbidden
	}
	expect := func(method, path, body string, want int) string {
		got, answer := c.do(token, method, path, body)
		if got != want {
			c.t.Errorf("%s %s %s: %d %s, want %d", method, path, body, got, answer, want)
		}
		return answer
	}
	made := expect("PUT", "/v1/session/create", `{"TTL": "10s", "Behavior": "delete", "LockDelay": "0s"}`, code(g.session))
	expect("PUT", "/v1/session/create", `{"Node": "web2", "Checks": []}`, http.StatusForbidden)
	if g.session {
		id := strings.Split(made, `"`)[3]
		alive := g.writes[len(g.writes)-1]
		if answer := expect("PUT", "/v1/kv/"+alive+"?acquire="+id, "{}", http.StatusOK); !strings.Contains(answer, "true") {
			c.t.Errorf("acquire %s: %s", alive, answer)
		}
		expect("PUT", "/v1/session/renew/"+id, "", http.StatusOK)
		expect("PUT", "/v1/session/destroy/"+id, "", http.StatusOK)
	}
	expect("PUT", "/v1/agent/service/register", `{"Name": "slug", "Port": 1212}`, code(g.service == "*"))
	if g.service == "*" {
		c.eventually("the catalog has slug", func() bool { // the agent reports it, some time later
			return strings.Contains(expect("GET", "/v1/health/service/slug", "", http.StatusOK), "1212")
		})
		expect("PUT", "/v1/agent/service/deregister/slug", "", http.StatusOK)
	}
	expect("PUT", "/v1/agent/maintenance?enable=true", "", http.StatusForbidden)
	expect("PUT", "/v1/acl/token", "{}", http.StatusForbidden)
	// In Consul, permission to register a service includes its defaults.
	expect("PUT", "/v1/config", `{"Kind": "service-defaults", "Name": "x"}`, code(g.service == "*"))
	expect("PUT", "/v1/agent/service/register", `{"ID": "sp", "Name": "seed-placer", "Check": {"TTL": "60s"}}`, code(g.service != ""))
	if g.service == "seed-placer" {
		checkChecked(c, g, expect)
	}
}

// checkChecked holds a key through a session that depends on the check of the agent's own service.
func checkChecked(c consul, g grant, expect func(method, path, body string, want int) string) {
	expect("PUT", "/v1/agent/check/update/service:sp", `{"Status": "passing"}`, http.StatusOK)
	c.eventually("the catalog has its check", func() bool {
		_, answer, err := c.Ask("GET", "/v1/health/checks/seed-placer", "")
		return err == nil && strings.Contains(answer, `"passing"`)
	})
	made := expect("PUT", "/v1/session/create", `{"TTL": "10s", "Behavior": "delete", "LockDelay": "0s", "ServiceChecks": [{"ID": "service:sp"}]}`, http.StatusOK)
	id := strings.Split(made, `"`)[3]
	host := g.writes[0]
	if answer := expect("PUT", "/v1/kv/"+host+"?acquire="+id, "{}", http.StatusOK); !strings.Contains(answer, "true") {
		c.t.Errorf("acquire %s: %s", host, answer)
	}
	expect("PUT", "/v1/agent/check/update/service:sp", `{"Status": "critical"}`, http.StatusOK)
	c.eventually(host+" is gone with its check", func() bool {
		code, _, err := c.Ask("GET", "/v1/kv/"+host, "")
		return err == nil && code == http.StatusNotFound
	})
	expect("PUT", "/v1/agent/service/deregister/sp", "", http.StatusOK)
	// The permission covers registration, not intentions.
	expect("PUT", "/v1/connect/intentions/exact?source=a&destination=seed-placer", `{"Action": "deny"}`, http.StatusForbidden)
}

func escape(key string) string { return (&url.URL{Path: key}).EscapedPath() }

func TestPolicyRefuses(t *testing.T) {
	for _, bad := range []struct{ name, subject, root string }{
		{"baker", "web1", "platypus/"},
		{acl.Preparer, "", "platypus/"},
		{acl.Preparer, `web1" {}`, "platypus/"},
		{acl.Preparer, "web1/..", "platypus/"},
		{acl.Setlive, "a..b", "platypus/"},
		{acl.Setlive, "web1", `p"/`},
		{acl.Setlive, "web1", "//"},
		{acl.Developer, "slug", "platypus/"},
		{acl.Developer, "slug/production/config", "platypus/"},
		{acl.Operator, "web1", "platypus/"},
		{acl.Dashboard, "web1", "platypus/"},
		{acl.SeedPlacer, "", "platypus/"},
	} {
		if rules, err := acl.Policy(bad.name, bad.subject, bad.root); err == nil {
			t.Errorf("%q on %q below %q gives\n%s", bad.name, bad.subject, bad.root, rules)
		}
	}
}
