package embedded

// Version is the Consul version that the store reports to clients, and whose behaviour it has.
const Version = "1.16.1"

// statusLeader reports this store as the leader: there is no other server.
func (c *call) statusLeader() (any, error) { return c.leaderAddress(), nil }

func (c *call) statusPeers() (any, error) { return []string{c.leaderAddress()}, nil }

func (c *call) leaderAddress() string { return c.store.options.Address + ":8300" }

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

// member is this machine as a gossip pool member.
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
	for _, k := range valuesOf(c.store.snapshot.Load().checks) {
		checks[k.CheckID] = k.withoutProbe()
	}
	return c.filter(checks)
}
