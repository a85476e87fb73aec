package fleet

import (
	"cmp"
	"slices"

	"github.com/platypus-platform/platypus/intent"
)

// nodeAgents is all that the agents of one node say.
type nodeAgents struct {
	agents []Agent // by name
	alive  bool    // one of them is
}

// agentReports is what the agents of all nodes say, and the reads that it was made of: much, and most changes are none of it.
type agentReports struct {
	statuses, alives *part
	nodes            map[intent.Name]*nodeAgents
	changes          []Change // the newest of all that they tell, nil until it was asked for
}

// agents puts reports and signs of life together by node. They are most of a fleet, and most changes are none of theirs:
// what was put together stays until one of them changes.
func (r *Reader) agents() map[intent.Name]*nodeAgents {
	statuses, alives := r.parts[r.tree.Statuses()], r.parts[r.tree.Alives()]
	if r.agentReports.nodes != nil && r.agentReports.statuses == statuses && r.agentReports.alives == alives {
		return r.agentReports.nodes
	}
	nodes := map[intent.Name]*nodeAgents{}
	agent := func(node, name intent.Name) *Agent {
		n := nodes[node]
		if n == nil {
			n = &nodeAgents{}
			nodes[node] = n
		}
		i := slices.IndexFunc(n.agents, func(a Agent) bool { return a.Name == string(name) })
		if i < 0 {
			i = len(n.agents)
			n.agents = append(n.agents, Agent{Name: string(name)})
		}
		return &n.agents[i]
	}
	r.each(r.tree.Statuses(), 2, func(names []intent.Name, v value) {
		if report, ok := v.noun.(intent.Report); ok {
			a := agent(names[1], names[0])
			a.Report, a.Reported = report, true
		}
	})
	r.each(r.tree.Alives(), 2, func(names []intent.Name, _ value) {
		agent(names[0], names[1]).Alive = true
		nodes[names[0]].alive = true
	})
	for _, n := range nodes {
		slices.SortFunc(n.agents, func(x, y Agent) int { return cmp.Compare(x.Name, y.Name) })
	}
	r.agentReports = agentReports{statuses: statuses, alives: alives, nodes: nodes}
	return nodes
}
