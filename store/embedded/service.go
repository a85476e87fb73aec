package embedded

import (
	"encoding/json"
	"fmt"
	"net/http"
)

// instance is one service on this machine, with the field names of Consul's agent.
type instance struct {
	ID                string
	Service           string
	Tags              []string
	Meta              map[string]string
	Port              int
	Address           string
	Weights           weights
	EnableTagOverride bool
	indexes
}

// weights are for DNS, which this store does not serve; clients read back what they set.
type weights struct {
	Passing int
	Warning int
}

// serviceBody is the request body that registers a service.
type serviceBody struct {
	ID                string
	Name              string
	Tags              []string
	Meta              map[string]string
	Port              int
	Address           string
	EnableTagOverride bool
	Weights           *weights
	Check             *checkBody
	Checks            []checkBody
}

func (c *call) serviceRegister() (any, error) {
	var body serviceBody
	if err := c.decode(&body); err != nil {
		return nil, err
	}
	if body.Name == "" {
		return nil, badRequest("Missing service name")
	}
	if body.ID == "" {
		body.ID = body.Name
	}
	service := &instance{ID: body.ID, Service: body.Name, Tags: body.Tags, Meta: body.Meta, Port: body.Port,
		Address: body.Address, EnableTagOverride: body.EnableTagOverride, Weights: weights{1, 1}}
	if body.Weights != nil {
		service.Weights = *body.Weights
	}
	if service.Tags == nil {
		service.Tags = []string{}
	}
	if service.Meta == nil {
		service.Meta = map[string]string{}
	}
	checks, err := body.checks(c.store.options.Node)
	if err != nil {
		return nil, err
	}
	replace := c.has("replace-existing-checks")
	_, err = c.store.submit(c.r.Context(), func(m *mutation) (any, error) {
		return nil, c.store.register(m, service, checks, replace)
	})
	return nil, err
}

// checks returns the checks of a registration. A check without a name or an ID gets one from the service.
func (b *serviceBody) checks(node string) ([]*check, error) {
	bodies := b.Checks
	if b.Check != nil {
		bodies = append([]checkBody{*b.Check}, bodies...)
	}
	var checks []*check
	for i, body := range bodies {
		if body.Name == "" {
			body.Name = fmt.Sprintf("Service '%s' check", b.Name)
		}
		if body.ID == "" && body.CheckID == "" {
			body.ID = "service:" + b.ID
			if len(bodies) > 1 {
				body.ID = fmt.Sprintf("service:%s:%d", b.ID, i+1)
			}
		}
		body.ServiceID = b.ID
		made, err := body.newCheck(node)
		if err != nil {
			return nil, err
		}
		made.ServiceName, made.ServiceTags = b.Name, b.Tags
		checks = append(checks, made)
	}
	return checks, nil
}

// register adds or replaces a service and its checks. A check that is registered again keeps its state.
func (s *Store) register(m *mutation, service *instance, checks []*check, replace bool) error {
	if old, found := m.services.Get([]byte(service.ID)); found && old.Service != service.Service {
		m.touchService(old.Service)
	}
	if err := m.putService(service); err != nil {
		return err
	}
	named := map[string]bool{}
	for _, c := range checks {
		named[c.CheckID] = true
		if err := s.addCheck(m, c); err != nil {
			return err
		}
	}
	for _, c := range valuesOf(m.checks) {
		if replace && c.ServiceID == service.ID && !named[c.CheckID] {
			s.removeCheck(m, c)
		}
	}
	return nil
}

func (m *mutation) putService(service *instance) error {
	service.CreateIndex, service.ModifyIndex = m.commitIndex, m.commitIndex
	if old, found := m.services.Get([]byte(service.ID)); found {
		service.CreateIndex = old.CreateIndex
		if same := *service; equalJSON(old, &same, old.indexes, &same.indexes) {
			return nil
		}
	}
	encoded, err := json.Marshal(service)
	if err != nil {
		return fmt.Errorf("encode service %s: %w", service.ID, err)
	}
	treeSet(m, &m.services, service.ID, service)
	m.logRecord(bucketServices, service.ID, encoded)
	m.touchService(service.Service)
	return nil
}

func (c *call) serviceDeregister() (any, error) {
	if c.suffix == "" {
		return nil, badRequest("Missing service name")
	}
	_, err := c.store.submit(c.r.Context(), func(m *mutation) (any, error) {
		if !c.store.deregister(m, c.suffix) {
			return nil, httpError{http.StatusNotFound, fmt.Sprintf("Unknown service ID %q. Ensure that the service ID is passed, not the service name.", c.suffix)}
		}
		return nil, nil
	})
	return nil, err
}

// deregister removes a service and its checks and reports whether it existed.
func (s *Store) deregister(m *mutation, id string) bool {
	service, found := m.services.Get([]byte(id))
	if !found {
		return false
	}
	for _, c := range valuesOf(m.checks) {
		if c.ServiceID == id {
			s.removeCheck(m, c)
		}
	}
	treeDelete(m, &m.services, id)
	m.logRecord(bucketServices, id, nil)
	m.touchService(service.Service)
	return true
}

func (c *call) agentServices() (any, error) {
	services := map[string]any{}
	for _, service := range valuesOf(c.store.snapshot.Load().services) {
		services[service.ID] = service.forAgent(c.store.options.Datacenter)
	}
	return c.filter(services)
}

// agentService is a service in the format of the agent endpoints.
type agentService struct {
	ID                string
	Service           string
	Tags              []string
	Meta              map[string]string
	Port              int
	Address           string
	Weights           weights
	EnableTagOverride bool
	Datacenter        string
}

func (i *instance) forAgent(datacenter string) agentService {
	return agentService{i.ID, i.Service, i.Tags, i.Meta, i.Port, i.Address, i.Weights, i.EnableTagOverride, datacenter}
}

func (c *call) agentService() (any, error) {
	service, found := c.store.snapshot.Load().services.Get([]byte(c.suffix))
	if !found {
		return nil, httpError{http.StatusNotFound, "unknown service ID: " + c.suffix}
	}
	return service.forAgent(c.store.options.Datacenter), nil
}
