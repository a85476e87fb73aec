package fleet

import (
	"cmp"
	"maps"
	"slices"
	"strings"

	"github.com/platypus-platform/platypus/agents/converge"
	"github.com/platypus-platform/platypus/intent"
)

// kinds says what the subjects of each agent are; those of others are told of on their node alone.
var kinds = map[string]string{
	"preparer": "app", "port-authority": "app", "setlive": "app", "seed-placer": "seed", "allocator": "vm",
}

// isOwnSubject reports whether a subject is the agent's own, such as the chain of a packet filter, and nothing that a person declared.
func isOwnSubject(agent, subject string) bool {
	switch kinds[agent] {
	case "app": // "chain ipv4": no app has a space in its name
		_, err := intent.ParseName(subject)
		return err != nil
	case "vm":
		return subject == "vms" || subject == "more"
	case "seed":
		return false
	}
	return true
}

// kindOf is what a subject is; a machine that the allocator tells of is named by its region and itself.
func kindOf(agent, subject string) string {
	switch {
	case isOwnSubject(agent, subject):
		return "agent"
	case kinds[agent] == "vm" && strings.Contains(subject, "/"):
		return "machine"
	}
	return kinds[agent]
}

// severity orders phases: the worst of an app on a node is what is shown.
func severity(phase string) int {
	switch phase {
	case converge.Converged, "ready":
		return 0
	case converge.Working, "claimed", "draining":
		return 1
	case converge.Waiting, intent.PhaseIncomplete:
		return 2
	}
	return 3
}

// apps tells of each app and each seed on all nodes.
func (b *builder) apps() {
	all := map[string]map[string]*Workload{"app": {}, "seed": {}, "agent": {}}
	told := map[[2]string]bool{} // seeds on nodes that say something of them
	for _, m := range b.fleet.Machines {
		worst := map[[2]string]OnNode{}
		for _, a := range m.Agents {
			for subject, s := range a.Report.Subjects {
				kind, name := kindOf(a.Name, subject), Clip(subject)
				if kind == "agent" {
					name = Clip(a.Name)
				}
				if all[kind] == nil || kind == "agent" && kinds[a.Name] == "vm" { // the vms themselves are told of
					continue
				}
				key := [2]string{kind, name}
				run := workload(all[kind], key[1])
				if kind == "seed" {
					told[[2]string{subject, string(m.Name)}] = true
				}
				if isElsewhere(kind, s) {
					run.absentFrom(string(m.Name), s.Reason)
					continue
				}
				at := onNode(m.Name, kind, a, s)
				if kind == "agent" {
					at.Agent = Clip(subject)
				}
				old, seen := worst[key]
				has := cmp.Or(at.Has, old.Has)
				if seen && severity(at.Phase) <= severity(old.Phase) {
					at = old
				}
				at.Has = has
				worst[key] = at
			}
		}
		for key, at := range worst {
			workload(all[key[0]], key[1]).addNode(at)
		}
	}
	b.addClaims(all["seed"], told)
	b.fleet.Apps, b.fleet.Seeds = finish(all["app"]), finish(all["seed"])
	// Of what is an agent's own only what fails is told: nobody asked for the rest.
	b.fleet.Agents = slices.DeleteFunc(finish(all["agent"]), func(r Workload) bool { return r.Wrong == 0 })
}

// isElsewhere reports whether all is well because other nodes have it: every node that takes seeds tells of every seed.
func isElsewhere(kind string, s intent.State) bool {
	return kind == "seed" && s.Phase == converge.Converged && s.Want == "" && s.Have == ""
}

// onNode is what one agent says of its subject. Of a seed that is well here its replica's state says more.
func onNode(node intent.Name, kind string, a Agent, s intent.State) OnNode {
	at := OnNode{Node: string(node), Agent: a.Name, Phase: Clip(s.Phase), Reason: Clip(cmp.Or(s.Error, s.Reason))}
	switch {
	case !a.Alive:
		at.Phase, at.Reason = "silent", a.Name+" is not running there; it last said: "+at.Phase
	case kind == "seed" && s.Phase == converge.Converged && s.Want == string(intent.ReplicaReady):
		at.Phase = Clip(s.Have)
	case kind == "seed" && s.Have != "" && s.Want == "":
		at.Phase = Clip(s.Have)
	}
	if a.Name == "setlive" {
		at.Has = Clip(s.Have)
	}
	return at
}

// addClaims adds the nodes that hold a replica of a seed and say nothing of it.
func (b *builder) addClaims(seeds map[string]*Workload, told map[[2]string]bool) {
	b.reader.each(b.reader.placedSeeds(), 2, func(names []intent.Name, v value) {
		if c, ok := v.noun.(claim); ok && !told[[2]string{string(names[0]), string(names[1])}] {
			phase := cmp.Or(c.State, c.Phase, "claimed")
			workload(seeds, string(names[0])).addNode(OnNode{Node: string(names[1]), Agent: "seed-placer", Phase: Clip(phase)})
		}
	})
}

func workload(in map[string]*Workload, name string) *Workload {
	if in[name] == nil {
		in[name] = &Workload{Name: name}
	}
	return in[name]
}

// absentFrom keeps why a node does not have it, of the first node by name.
func (r *Workload) absentFrom(node, reason string) {
	if r.without == "" || node < r.without {
		r.without, r.Why = node, Clip(reason)
	}
}

// addNode adds a node.
func (r *Workload) addNode(at OnNode) {
	r.Nodes++
	r.Phases = increment(r.Phases, at.Phase)
	if at.Has != "" {
		r.Versions = increment(r.Versions, at.Has)
	}
	if severity(at.Phase) == 0 {
		r.Well = append(r.Well, at)
		return
	}
	if r.Open = append(r.Open, at); severity(at.Phase) > 1 {
		r.Wrong++
	}
}

func increment(list []Count, what string) []Count {
	i := slices.IndexFunc(list, func(c Count) bool { return c.What == what })
	if i < 0 {
		i, list = len(list), append(list, Count{What: what})
	}
	list[i].N++
	return list
}

func finish(all map[string]*Workload) []Workload {
	list := make([]Workload, 0, len(all))
	for _, name := range slices.Sorted(maps.Keys(all)) {
		r := *all[name]
		slices.SortFunc(r.Phases, func(x, y Count) int {
			return cmp.Or(cmp.Compare(severity(x.What), severity(y.What)), cmp.Compare(x.What, y.What))
		})
		slices.SortFunc(r.Versions, mostFirst)
		slices.SortFunc(r.Open, func(x, y OnNode) int {
			return cmp.Or(cmp.Compare(severity(y.Phase), severity(x.Phase)), cmp.Compare(x.Node, y.Node))
		})
		slices.SortFunc(r.Well, func(x, y OnNode) int { return cmp.Compare(x.Node, y.Node) })
		if r.Nodes > 0 {
			r.Why = ""
		}
		r.More = max(0, len(r.Well)-maxWell)
		r.Open, r.Well = r.Open[:min(len(r.Open), maxOpen)], r.Well[:min(len(r.Well), maxWell)]
		list = append(list, r)
	}
	return list
}
