package embedded

// Version is what the store says to clients that ask an agent for its version: the Consul whose behaviour it has.
const Version = "1.16.1"

// statusLeader names the leader: this store, at the address the client reached it by, as there is no other.
func (c *call) statusLeader() (any, error) { return c.here(), nil }

func (c *call) statusPeers() (any, error) { return []string{c.here()}, nil }

func (c *call) here() string { return c.store.options.Address + ":8300" }

func (c *call) agentSelf() (any, error) {
	o := c.store.options
	return map[string]any{
		"Config": map[string]any{"Datacenter": o.Datacenter, "PrimaryDatacenter": o.Datacenter, "NodeName": o.Node,
			"NodeID": "", "Revision": "", "Server": true, "Version": Version},
		"DebugConfig": map[string]any{},
		"Coord":       nil,
		"Stats":       map[string]any{"consul": map[string]string{"leader": "true", "server": "true"}},
		"Member":      c.member(),
		"Meta":        map[string]string{},
	}, nil
}

// member is the one machine in the form of a gossip pool.
type member struct {
	Name   string
	Addr   string
	Port   int
	Tags   map[string]string
	Status int
}

func (c *call) member() member {
	o := c.store.options
	return member{o.Node, o.Address, 8301, map[string]string{"role": "consul", "dc": o.Datacenter, "build": Version}, 1}
}

func (c *call) agentMembers() (any, error) { return []member{c.member()}, nil }

func (c *call) agentChecks() (any, error) {
	checks := map[string]*check{}
	for _, k := range all(c.store.view.Load().checks) {
		checks[k.CheckID] = k.shown()
	}
	return c.filtered(checks)
}
