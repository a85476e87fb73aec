package embedded

import (
	"encoding/json"
	"fmt"
	"net/http"
)

// instance is one service on this machine, in the spelling of Consul's agent.
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

// weights are for DNS, which this store does not serve; clients get them back as they gave them.
type weights struct {
	Passing int
	Warning int
}

// serviceBody is what a client sends to register a service.
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
	_, err = c.store.propose(c.r.Context(), func(x *change) (any, error) {
		return nil, c.store.register(x, service, checks, replace)
	})
	return nil, err
}

// checks turns the checks of a registration into checks of their own, named after the service unless named.
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
		made, err := body.check(node)
		if err != nil {
			return nil, err
		}
		made.ServiceName, made.ServiceTags = b.Name, b.Tags
		checks = append(checks, made)
	}
	return checks, nil
}

// register adds or replaces a service and its checks. A check that is registered again keeps its state.
func (s *Store) register(x *change, service *instance, checks []*check, replace bool) error {
	if old, found := x.services.Get([]byte(service.ID)); found && old.Service != service.Service {
		x.touch(old.Service)
	}
	if err := x.putService(service); err != nil {
		return err
	}
	named := map[string]bool{}
	for _, c := range checks {
		named[c.CheckID] = true
		if err := s.addCheck(x, c); err != nil {
			return err
		}
	}
	for _, c := range all(x.checks) {
		if replace && c.ServiceID == service.ID && !named[c.CheckID] {
			s.dropCheck(x, c)
		}
	}
	return nil
}

func (c *change) putService(service *instance) error {
	service.CreateIndex, service.ModifyIndex = c.now, c.now
	if old, found := c.services.Get([]byte(service.ID)); found {
		service.CreateIndex = old.CreateIndex
		if same := *service; equalJSON(old, &same, old.indexes, &same.indexes) {
			return nil
		}
	}
	kept, err := json.Marshal(service)
	if err != nil {
		return fmt.Errorf("encode service %s: %w", service.ID, err)
	}
	put(c, &c.services, service.ID, service)
	c.log(bucketServices, service.ID, kept)
	c.touch(service.Service)
	return nil
}

func (c *call) serviceDeregister() (any, error) {
	if c.rest == "" {
		return nil, badRequest("Missing service name")
	}
	_, err := c.store.propose(c.r.Context(), func(x *change) (any, error) {
		if !c.store.deregister(x, c.rest) {
			return nil, status{http.StatusNotFound, fmt.Sprintf("Unknown service ID %q. Ensure that the service ID is passed, not the service name.", c.rest)}
		}
		return nil, nil
	})
	return nil, err
}

// deregister removes a service and its checks and reports whether there was one.
func (s *Store) deregister(x *change, id string) bool {
	service, found := x.services.Get([]byte(id))
	if !found {
		return false
	}
	for _, c := range all(x.checks) {
		if c.ServiceID == id {
			s.dropCheck(x, c)
		}
	}
	drop(x, &x.services, id)
	x.log(bucketServices, id, nil)
	x.touch(service.Service)
	return true
}

func (c *call) agentServices() (any, error) {
	services := map[string]any{}
	for _, service := range all(c.store.view.Load().services) {
		services[service.ID] = service.forAgent(c.store.options.Datacenter)
	}
	return c.filtered(services)
}

// agentService is a service as the agent endpoints show it.
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
	service, found := c.store.view.Load().services.Get([]byte(c.rest))
	if !found {
		return nil, status{http.StatusNotFound, "unknown service ID: " + c.rest}
	}
	return service.forAgent(c.store.options.Datacenter), nil
}
