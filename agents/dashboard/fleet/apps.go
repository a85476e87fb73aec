package fleet

import (
	"cmp"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/platypus-platform/platypus/agents/converge"
	"github.com/platypus-platform/platypus/intent"
)

// kinds says what the subjects of each agent are; those of others are told of on their node alone.
var kinds = map[string]string{
	"preparer": "app", "port-authority": "app", "setlive": "app", "seed-placer": "seed", "allocator": "vm",
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
	apps, seeds := map[string]*Running{}, map[string]*Running{}
	for _, m := range b.fleet.Machines {
		worst := map[string]OnNode{}
		for _, a := range m.Agents {
			kind := kinds[a.Name]
			if kind != "app" && kind != "seed" {
				continue
			}
			for subject, s := range a.Report.Subjects {
				at, key := OnNode{string(m.Name), a.Name, Clip(s.Phase), Clip(cmp.Or(s.Error, s.Reason))}, kind+"/"+Clip(subject)
				if !a.Alive {
					at.Phase, at.Reason = "silent", a.Name+" is not running there; it last said: "+at.Phase
				}
				if old, seen := worst[key]; !seen || severity(at.Phase) > severity(old.Phase) {
					worst[key] = at
				}
				run := running(map[string]map[string]*Running{"app": apps, "seed": seeds}[kind], Clip(subject))
				if s.Since.After(run.Latest) {
					run.Latest = s.Since
				}
			}
		}
		for key, at := range worst {
			kind, name, _ := strings.Cut(key, "/")
			running(map[string]map[string]*Running{"app": apps, "seed": seeds}[kind], name).on(at)
		}
	}
	b.claims(seeds)
	b.fleet.Apps, b.fleet.Seeds = finished(apps), finished(seeds)
}

// claims counts the nodes that say they have a seed, where nothing better is known of them.
func (b *builder) claims(seeds map[string]*Running) {
	told := map[string]bool{}
	for name := range seeds {
		told[name] = true
	}
	b.reader.each(b.reader.placedSeeds(), 2, func(names []intent.Name, v value) {
		if c, ok := v.noun.(claim); ok && !told[string(names[0])] {
			phase := cmp.Or(c.State, c.Phase, "claimed")
			running(seeds, string(names[0])).on(OnNode{Node: string(names[1]), Agent: "seed-placer", Phase: Clip(phase)})
		}
	})
}

func running(in map[string]*Running, name string) *Running {
	if in[name] == nil {
		in[name] = &Running{Name: name}
	}
	return in[name]
}

// on adds a node.
func (r *Running) on(at OnNode) {
	r.Nodes++
	i := slices.IndexFunc(r.Phases, func(c Count) bool { return c.What == at.Phase })
	if i < 0 {
		i = len(r.Phases)
		r.Phases = append(r.Phases, Count{What: at.Phase})
	}
	r.Phases[i].N++
	if severity(at.Phase) > 0 {
		r.Open = append(r.Open, at)
	}
}

func finished(all map[string]*Running) []Running {
	list := make([]Running, 0, len(all))
	for _, name := range slices.Sorted(maps.Keys(all)) {
		r := *all[name]
		slices.SortFunc(r.Phases, func(x, y Count) int {
			return cmp.Or(cmp.Compare(severity(x.What), severity(y.What)), cmp.Compare(x.What, y.What))
		})
		slices.SortFunc(r.Open, func(x, y OnNode) int { return cmp.Compare(x.Node, y.Node) })
		r.Open = r.Open[:min(len(r.Open), maxOpen)]
		list = append(list, r)
	}
	return list
}

// changes are the newest of what was noticed and of what the agents reported.
func (b *builder) changes() []Change {
	list := b.reader.recalled()
	var cutoff time.Time // what is older than this is not among the newest
	newest := func() {
		slices.SortFunc(list, func(x, y Change) int {
			return cmp.Or(y.At.Compare(x.At), cmp.Compare(x.Subject, y.Subject), cmp.Compare(x.Machine, y.Machine), cmp.Compare(x.Text, y.Text))
		})
		if len(list) >= maxChanges {
			list = list[:maxChanges]
			cutoff = list[maxChanges-1].At
		}
	}
	for _, m := range b.fleet.Machines {
		latest := map[string]Change{} // several agents say what became of one app: the last of them is the news
		for _, a := range m.Agents {
			for subject, s := range a.Report.Subjects {
				key := cmp.Or(kinds[a.Name], a.Name) + " " + subject
				if c := latest[key]; !s.Since.IsZero() && !s.Since.Before(cutoff) && !s.Since.Before(c.At) {
					latest[key] = reported(m, a, subject, s)
				}
			}
		}
		for _, c := range latest {
			list = append(list, c)
		}
		if len(list) > 8*maxChanges {
			newest()
		}
	}
	newest()
	return list
}

func reported(m *Machine, a Agent, subject string, s intent.State) Change {
	kind := cmp.Or(kinds[a.Name], "agent")
	text := a.Name + ": " + s.Phase
	if why := cmp.Or(s.Error, s.Reason); why != "" && severity(s.Phase) > 0 {
		text += ": " + why
	} else if s.Have != "" {
		text += ", " + s.Have
	}
	c := Change{At: s.Since, Kind: kind, Subject: Clip(subject), Text: Clip(text), Phase: Clip(s.Phase), Machine: string(m.Name)}
	if kind == "vm" {
		c.Machine = "" // where the allocator runs is not where the vm is
	}
	return c
}
