package conformance

import (
	"encoding/json"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/hashicorp/consul/api"
)

func testAgent(t *testing.T, s *server) {
	t.Run("self", s.self)
	t.Run("services", s.services)
	t.Run("health", s.health)
	t.Run("checks", s.checks)
	t.Run("probes", s.probes)
	t.Run("dependents", s.dependents)
}

func (s *server) self(t *testing.T) {
	if leader, err := s.api.Status().Leader(); err != nil || leader == "" {
		t.Errorf("leader: %q, %v", leader, err)
	}
	if peers, err := s.api.Status().Peers(); err != nil || len(peers) != 1 {
		t.Errorf("peers: %q, %v", peers, err)
	}
	self, err := s.api.Agent().Self()
	if err != nil || self["Config"]["NodeName"] == "" || self["Config"]["Datacenter"] != "dc1" {
		t.Errorf("self: %v, %v", self["Config"], err)
	}
	if name, err := s.api.Agent().NodeName(); err != nil || name == "" {
		t.Errorf("node name: %q, %v", name, err)
	}
	if members, err := s.api.Agent().Members(false); err != nil || len(members) != 1 || members[0].Status != 1 {
		t.Errorf("members: %v, %v", members, err)
	}
	if dcs, err := s.api.Catalog().Datacenters(); err != nil || strings.Join(dcs, " ") != "dc1" {
		t.Errorf("datacenters: %v, %v", dcs, err)
	}
}

// register announces a service that goes with the test.
func (s *server) register(t *testing.T, service *api.AgentServiceRegistration) {
	t.Helper()
	if err := s.api.Agent().ServiceRegister(service); err != nil {
		t.Fatal(err)
	}
	id := service.ID
	if id == "" {
		id = service.Name
	}
	t.Cleanup(func() { _ = s.api.Agent().ServiceDeregister(id) })
}

// eventually waits for what a real agent tells its server only a moment later.
func eventually(t *testing.T, what string, holds func() bool) {
	t.Helper()
	for end := time.Now().Add(hang); !holds(); time.Sleep(20 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("never: %s", what)
		}
	}
}

func (s *server) services(t *testing.T) {
	s.register(t, &api.AgentServiceRegistration{ID: "web-1", Name: "conf-web", Port: 80, Tags: []string{"a", "b"}, Meta: map[string]string{"by": "conf"}})
	s.register(t, &api.AgentServiceRegistration{ID: "web-2", Name: "conf-web", Port: 81, Tags: []string{"b"}, Address: "10.0.0.9"})
	mine, err := s.api.Agent().ServicesWithFilter(`Meta.by == "conf"`)
	if err != nil || len(mine) != 1 || mine["web-1"] == nil {
		t.Fatalf("filter by meta: %v, %v", mine, err)
	}
	one := mine["web-1"]
	if one.Service != "conf-web" || one.Port != 80 || strings.Join(one.Tags, " ") != "a b" || one.Weights.Passing != 1 || one.Datacenter != "dc1" {
		t.Errorf("service: %+v", one)
	}
	if got, err := s.api.Agent().ServicesWithFilter(`ID == "web-2"`); err != nil || len(got) != 1 || got["web-2"].Address != "10.0.0.9" {
		t.Errorf("filter by ID: %v, %v", got, err)
	}
	eventually(t, "both instances in the catalog", func() bool {
		found, _, err := s.api.Catalog().Service("conf-web", "", nil)
		return err == nil && len(found) == 2
	})
	tagged, meta, err := s.api.Catalog().Service("conf-web", "a", nil)
	if err != nil || len(tagged) != 1 || tagged[0].ServiceID != "web-1" || tagged[0].ServicePort != 80 || meta.LastIndex == 0 {
		t.Errorf("by tag: %v, %v", tagged, err)
	}
	names, _, err := s.api.Catalog().Services(nil)
	if err != nil || len(names["conf-web"]) != 2 {
		t.Errorf("names: %v, %v", names, err)
	}
	nodes, _, err := s.api.Catalog().Nodes(nil)
	if err != nil || len(nodes) != 1 || nodes[0].Address != "127.0.0.1" {
		t.Fatalf("nodes: %v, %v", nodes, err)
	}
	node, _, err := s.api.Catalog().Node(nodes[0].Node, nil)
	if err != nil || node.Services["web-2"] == nil || node.Services["web-2"].Port != 81 {
		t.Errorf("node: %v, %v", node, err)
	}
	if missing, _, err := s.api.Catalog().Node("nobody", nil); err != nil || missing != nil {
		t.Errorf("a node that is not there: %v, %v", missing, err)
	}
	s.do(t, "PUT", "/v1/agent/service/deregister/none", "").is(t, 404, `Unknown service ID "none". Ensure that the service ID is passed, not the service name.`)
	s.do(t, "PUT", "/v1/agent/service/register", "{}").is(t, 400, "Missing service name")
	s.do(t, "GET", "/v1/agent/service/none", "").is(t, 404, "unknown service ID: none")
}

func (s *server) health(t *testing.T) {
	check := &api.AgentServiceCheck{CheckID: "service:h1", TTL: "60s"}
	s.register(t, &api.AgentServiceRegistration{ID: "h1", Name: "conf-h", Port: 1, Check: check})
	eventually(t, "the service is known", func() bool {
		all, _, err := s.api.Health().Service("conf-h", "", false, nil)
		return err == nil && len(all) == 1 && len(all[0].Checks) == 2
	})
	good, meta, err := s.api.Health().Service("conf-h", "", true, nil)
	if err != nil || len(good) != 0 {
		t.Fatalf("passing before anybody vouched: %v, %v", good, err)
	}
	waiting := s.wait(t, "/v1/health/service/conf-h?passing", meta.LastIndex)
	quiet(t, waiting, "nothing")
	if err := s.api.Agent().UpdateTTL("service:h1", "fine", "passing"); err != nil {
		t.Fatal(err)
	}
	a := woken(t, waiting, "a passing check")
	a.says(t, 200, `"ID":"h1"`)
	checks, _, err := s.api.Health().Checks("conf-h", nil)
	if err != nil || len(checks) != 1 || checks[0].Status != "passing" || checks[0].Output != "fine" || checks[0].Type != "ttl" {
		t.Errorf("checks: %+v, %v", checks, err)
	}
	state, _, err := s.api.Health().State("passing", nil)
	if err != nil || len(state) < 2 {
		t.Errorf("state: %v, %v", state, err)
	}
	name, _ := s.api.Agent().NodeName()
	onNode, _, err := s.api.Health().Node(name, nil)
	if err != nil || len(onNode) != 2 {
		t.Errorf("checks of the node: %v, %v", onNode, err)
	}
	waiting = s.wait(t, "/v1/health/service/conf-h", a.index)
	quiet(t, waiting, "nothing")
	if err := s.api.Agent().ServiceDeregister("h1"); err != nil {
		t.Fatal(err)
	}
	if gone := woken(t, waiting, "the end of the service"); gone.index <= a.index {
		t.Errorf("deregistered: index %d after %d", gone.index, a.index)
	}
	eventually(t, "the service is gone", func() bool {
		all, _, err := s.api.Health().Service("conf-h", "", false, nil)
		return err == nil && len(all) == 0
	})
}

func (s *server) checks(t *testing.T) {
	agent := s.api.Agent()
	register := func(id string, check api.AgentServiceCheck) error {
		return agent.CheckRegister(&api.AgentCheckRegistration{ID: id, Name: id, AgentServiceCheck: check})
	}
	if err := register("conf-ttl", api.AgentServiceCheck{TTL: "60s", Status: "passing"}); err != nil {
		t.Fatal(err)
	}
	for status, tell := range map[string]func(string, string) error{"passing": agent.PassTTL, "warning": agent.WarnTTL, "critical": agent.FailTTL} {
		if err := tell("conf-ttl", "note "+status); err != nil {
			t.Error(err)
		}
		if all, err := agent.Checks(); err != nil || all["conf-ttl"].Status != status || all["conf-ttl"].Output != "note "+status {
			t.Errorf("told %s: %+v, %v", status, all["conf-ttl"], err)
		}
	}
	if err := agent.CheckDeregister("conf-ttl"); err != nil {
		t.Error(err)
	}
	unknown := `Unknown check ID "conf-ttl". Ensure that the check ID is passed, not the check name.`
	s.do(t, "PUT", "/v1/agent/check/pass/conf-ttl", "").is(t, 404, unknown)
	s.do(t, "PUT", "/v1/agent/check/deregister/conf-ttl", "").is(t, 404, unknown)
	for body, want := range map[string]string{
		`{}`:                                   "Missing check name",
		`{"Name":"c"}`:                         "Invalid check: TTL must be > 0 for TTL checks",
		`{"Name":"c","HTTP":"x"}`:              "Invalid check: Interval must be > 0 for Script, HTTP, H2PING, TCP, UDP or OSService checks",
		`{"Name":"c","TTL":"1s","Status":"x"}`: "Bad check status",
		`{"Name":"c","TTL":"1s","TCP":"x","Interval":"1s"}`: "Invalid check: Interval and TTL cannot both be specified",
	} {
		s.do(t, "PUT", "/v1/agent/check/register", body).is(t, 400, want)
	}
	s.do(t, "PUT", "/v1/agent/check/register", `{"Name":"c","TTL":"1s","ServiceID":"none"}`).says(t, 404, `ServiceID "none" does not exist`)
	s.do(t, "PUT", "/v1/agent/check/update/c", `{"Status":"x"}`).is(t, 400, "Invalid check status: 'x'")
}

func (s *server) status(t *testing.T, id string) string {
	t.Helper()
	all, err := s.api.Agent().Checks()
	if err != nil || all[id] == nil {
		return ""
	}
	return all[id].Status
}

// probes has the store itself find out whether something answers.
func (s *server) probes(t *testing.T) {
	var code atomic.Int64
	code.Store(200)
	web := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.WriteHeader(int(code.Load()))
		fmt.Fprint(w, "body of ", r.Method)
	}))
	defer web.Close()
	socket, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	where, _ := url.Parse(web.URL)
	s.register(t, &api.AgentServiceRegistration{Name: "conf-probe", Checks: api.AgentServiceChecks{
		{CheckID: "p-http", HTTP: web.URL, Interval: "100ms", FailuresBeforeCritical: 2},
		{CheckID: "p-tcp", TCP: where.Host, Interval: "100ms", SuccessBeforePassing: 2},
		{CheckID: "p-gone", TCP: socket.Addr().String(), Interval: "100ms"},
	}})
	is := func(id, want string) func() bool { return func() bool { return s.status(t, id) == want } }
	eventually(t, "HTTP passes", is("p-http", "passing"))
	eventually(t, "TCP passes", is("p-tcp", "passing"))
	eventually(t, "the second TCP passes", is("p-gone", "passing"))
	socket.Close()
	eventually(t, "a closed port is critical", is("p-gone", "critical"))
	code.Store(429)
	eventually(t, "429 is a warning", is("p-http", "warning"))
	code.Store(500)
	eventually(t, "500 is critical", is("p-http", "critical"))
	all, err := s.api.Agent().Checks()
	if err != nil || !strings.Contains(all["p-http"].Output, "body of GET") || all["p-http"].Type != "http" {
		t.Errorf("check: %+v, %v", all["p-http"], err)
	}
	s.register(t, &api.AgentServiceRegistration{Name: "conf-ttl", Check: &api.AgentServiceCheck{TTL: "200ms", Status: "passing"}})
	eventually(t, "nobody vouched in time", is("service:conf-ttl", "critical"))
}

// dependents end with a check.
func (s *server) dependents(t *testing.T) {
	err := s.api.Agent().CheckRegister(&api.AgentCheckRegistration{ID: "conf-dep", Name: "d", AgentServiceCheck: api.AgentServiceCheck{TTL: "60s", Status: "passing"}})
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = s.api.Agent().CheckDeregister("conf-dep") }()
	eventually(t, "the check is known to the catalog", func() bool {
		state, _, err := s.api.Health().State("passing", nil)
		body, _ := json.Marshal(state)
		return err == nil && strings.Contains(string(body), "conf-dep")
	})
	id := s.session(t, `{"LockDelay":"0s","NodeChecks":["serfHealth","conf-dep"]}`)
	s.kv(t, "PUT", "dep?acquire="+id, "1").is(t, 200, "true")
	if err := s.api.Agent().FailTTL("conf-dep", "gone"); err != nil {
		t.Fatal(err)
	}
	eventually(t, "the lock falls", func() bool { return s.one(t, "dep").Session == "" })
}
