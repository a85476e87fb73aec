package change

import (
	"fmt"
	"reflect"
	"slices"

	"github.com/platypus-platform/platypus/deploy/platypus/internal/world"
	"github.com/platypus-platform/platypus/intent"
)

// Effect is one thing that an agent on a node will do, or cannot do, because of changes.
type Effect struct {
	Node   intent.Name `json:"node"`
	Agent  string      `json:"agent"`
	App    intent.Name `json:"app"`
	Action string      `json:"action"` // fetch, refuse, prune, open, close, start, stop, restart, signal, rewrite, check, keep
	What   string      `json:"what,omitempty"`
	Reason string      `json:"reason"`
}

// Effects compares what nodes are asked for before and after, in the light of what their agents last reported.
func Effects(before, after world.World) []Effect {
	nodes := append(before.Nodes(), after.Nodes()...)
	slices.Sort(nodes)
	effects := []Effect{}
	for _, node := range slices.Compact(nodes) {
		b, a := before.Node(node), after.Node(node)
		for _, name := range names(b, a) {
			was, had := b.App(name)
			is, has := a.App(name)
			if had && has && equal(was, is) {
				continue
			}
			e := effect{world: before, node: node, was: was, is: is, had: had && was.Sound(), has: has, others: a.Apps}
			effects = append(effects, e.all()...)
		}
	}
	return effects
}

type effect struct {
	world    world.World
	node     intent.Name
	was, is  intent.App
	had, has bool
	others   []intent.App
}

func (e effect) all() []Effect {
	if e.has && !e.is.Sound() {
		return []Effect{e.make("every agent", "keep", "", e.is.Phase+": "+e.is.Reason)}
	}
	return slices.Concat(e.installs(), e.ports(), e.service())
}

func (e effect) make(agent, action, what, reason string) Effect {
	app := e.is.Name
	if !e.has {
		app = e.was.Name
	}
	return Effect{e.node, agent, app, action, what, reason}
}

func (e effect) installs() (effects []Effect) {
	report, reported := e.world.Reports[world.Who{Agent: world.Preparer, Node: e.node}]
	have := report.Subjects[string(e.is.Name)].Have
	moved := e.had && e.was.Deploy.Basedir != e.is.Deploy.Basedir
	for _, v := range e.is.Config.Wanted() {
		switch {
		case !reported:
			effects = append(effects, e.make(world.Preparer, "fetch", string(v), "no report from preparer says that it is installed"))
		case !world.Has(have, v) || moved:
			effects = append(effects, e.make(world.Preparer, "fetch", string(v), "not installed below "+e.is.Deploy.Basedir))
		case e.had && e.otherDigest(v):
			effects = append(effects, e.make(world.Preparer, "refuse", string(v),
				"it is installed with another sha256: publish other content as another version"))
		}
	}
	if !e.had {
		return effects
	}
	if e.has && keepOf(e.is) < keepOf(e.was) {
		effects = append(effects, e.make(world.Preparer, "prune", "", fmt.Sprintf("installs that nothing names, beyond the newest %d", keepOf(e.is))))
	}
	for _, v := range e.was.Config.Wanted() {
		if _, still := e.is.Config.Versions[v]; !still {
			reason := "no longer named; the newest installs are kept"
			if !e.has {
				reason = "the node no longer has the app"
			}
			effects = append(effects, e.make(world.Preparer, "prune", string(v), reason))
		}
	}
	return effects
}

// otherDigest reports whether a version that was pinned is to be another artifact.
func (e effect) otherDigest(v intent.Name) bool {
	was, is := e.was.Config.Versions[v].SHA256, e.is.Config.Versions[v].SHA256
	return was != "" && is != "" && was != is
}

func keepOf(app intent.App) int {
	if app.Deploy.Keep > 0 {
		return app.Deploy.Keep
	}
	return intent.DefaultKeep
}

func (e effect) ports() (effects []Effect) {
	var before, after []intent.Port
	if e.had {
		before = e.was.Deploy.Ports
	}
	if e.has {
		after = e.is.Deploy.Ports
	}
	for _, p := range after {
		if !contains(before, p) {
			effects = append(effects, e.make(world.PortAuthority, "open", describe(p), "declared by deploy_config"))
		}
	}
	for _, p := range before {
		if contains(after, p) {
			continue
		}
		closing := true
		for _, other := range e.others {
			closing = closing && (other.Name == e.was.Name || !contains(other.Deploy.Ports, p))
		}
		if closing {
			effects = append(effects, e.make(world.PortAuthority, "close", describe(p), "no longer declared"))
		}
	}
	return effects
}

func describe(p intent.Port) string {
	if len(p.Source) == 0 {
		return p.String()
	}
	return fmt.Sprintf("%s from %v", p, p.Source)
}

func contains(ports []intent.Port, p intent.Port) bool { return slices.ContainsFunc(ports, p.Equal) }

func names(nodes ...intent.Node) (names []intent.Name) {
	for _, n := range nodes {
		for _, a := range n.Apps {
			names = append(names, a.Name)
		}
	}
	slices.Sort(names)
	return slices.Compact(names)
}

// equal reports whether two readings of an app ask for the same, wherever they were read and however they were laid out.
func equal(a, b intent.App) bool {
	a.Config.UserConfig, b.Config.UserConfig = []byte(compact(a.Config.UserConfig)), []byte(compact(b.Config.UserConfig))
	return a.Cluster == b.Cluster && a.Phase == b.Phase && a.Reason == b.Reason &&
		reflect.DeepEqual(a.Config, b.Config) && reflect.DeepEqual(a.Deploy, b.Deploy)
}
