package store

import (
	"context"
	"fmt"
	"time"

	"github.com/hashicorp/consul/api"
)

// Service is one instance of an app in the service catalog.
type Service struct {
	ID    string
	Name  string
	Port  int
	Meta  map[string]string
	Check Check
}

// Check is how Consul checks an instance: over HTTP or TCP each Interval or, if both are empty, by updates within TTL.
type Check struct {
	HTTP     string // URL
	TCP      string // host:port
	Interval time.Duration
	Timeout  time.Duration
	TTL      time.Duration
}

// deregisterAfter is how long an instance can be critical before the catalog removes it, for hosts that are gone for
// good. A host that returns registers its services again.
const deregisterAfter = 72 * time.Hour

// Register registers a service at the local agent, or replaces it.
func (s *Store) Register(ctx context.Context, service Service) error {
	ctx, cancel := context.WithTimeout(ctx, requestTimeout)
	defer cancel()
	c := service.Check
	check := &api.AgentServiceCheck{CheckID: "service:" + service.ID, DeregisterCriticalServiceAfter: deregisterAfter.String()}
	if c.HTTP == "" && c.TCP == "" {
		check.TTL = c.TTL.String()
	} else {
		check.HTTP, check.TCP, check.Interval, check.Timeout = c.HTTP, c.TCP, c.Interval.String(), c.Timeout.String()
	}
	registration := &api.AgentServiceRegistration{
		ID: service.ID, Name: service.Name, Port: service.Port, Meta: service.Meta, Check: check,
	}
	options := api.ServiceRegisterOpts{ReplaceExistingChecks: true}.WithContext(ctx)
	err := s.client.Load().Agent().ServiceRegisterOpts(registration, options)
	return s.classifyWrite("register service "+service.ID, err)
}

// Deregister removes a service; an absent one is not an error.
func (s *Store) Deregister(ctx context.Context, id string) error {
	ctx, cancel := context.WithTimeout(ctx, requestTimeout)
	defer cancel()
	agent := s.client.Load().Agent()
	services, err := agent.ServicesWithFilterOpts(fmt.Sprintf("ID == %q", id), new(api.QueryOptions).WithContext(ctx))
	if err != nil {
		return s.classify("look for service "+id, err)
	}
	if services[id] == nil {
		return nil
	}
	err = agent.ServiceDeregisterOpts(id, new(api.QueryOptions).WithContext(ctx))
	return s.classifyWrite("deregister service "+id, err)
}

// Registered returns the services of the local agent with the given meta value.
func (s *Store) Registered(ctx context.Context, metaKey, metaValue string) (map[string]Service, error) {
	ctx, cancel := context.WithTimeout(ctx, requestTimeout)
	defer cancel()
	found, err := s.client.Load().Agent().ServicesWithFilterOpts("", new(api.QueryOptions).WithContext(ctx))
	if err != nil {
		return nil, s.classify("list services", err)
	}
	services := map[string]Service{}
	for id, f := range found {
		if f.Meta[metaKey] == metaValue {
			services[id] = Service{ID: id, Name: f.Service, Port: f.Port, Meta: f.Meta}
		}
	}
	return services, nil
}

// Heard updates the TTL check of a service, with a reason.
func (s *Store) Heard(ctx context.Context, id string, healthy bool, why string) error {
	ctx, cancel := context.WithTimeout(ctx, requestTimeout)
	defer cancel()
	status := api.HealthCritical
	if healthy {
		status = api.HealthPassing
	}
	err := s.client.Load().Agent().UpdateTTLOpts("service:"+id, why, status, new(api.QueryOptions).WithContext(ctx))
	return s.classifyWrite("tell health of "+id, err)
}

// Instance is one catalog entry of a service, with its health.
type Instance struct {
	ID      string
	Meta    map[string]string
	Passing bool
}

// Instances lists every instance of a service in the catalog.
func (s *Store) Instances(ctx context.Context, name string) ([]Instance, error) {
	ctx, cancel := context.WithTimeout(ctx, requestTimeout)
	defer cancel()
	options := &api.QueryOptions{RequireConsistent: true}
	entries, _, err := s.client.Load().Health().Service(name, "", false, options.WithContext(ctx))
	if err != nil {
		return nil, s.classify("list instances of "+name, err)
	}
	instances := make([]Instance, 0, len(entries))
	for _, e := range entries {
		instances = append(instances, Instance{e.Service.ID, e.Service.Meta, e.Checks.AggregatedStatus() == api.HealthPassing})
	}
	return instances, nil
}
