package change

import (
	"fmt"
	"reflect"
	"slices"

	"github.com/platypus-platform/platypus/deploy/platypus/internal/world"
	"github.com/platypus-platform/platypus/intent"
)

// Effect is one action that an agent on a node will take, or cannot take, because of changes.
type Effect struct {
	Node   intent.Name `json:"node"`
	Agent  string      `json:"agent"`
	App    intent.Name `json:"app"`
	Action string      `json:"action"` // fetch, refuse, prune, open, close, start, stop, restart, signal, rewrite, check, keep
	What   string      `json:"what,omitempty"`
	Reason string      `json:"reason"`
}

// Effects compares the intent of nodes before and after, given the last reports of their agents.
func Effects(before, after world.Snapshot) []Effect {
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
			e := comparison{snapshot: before, node: node, before: was, after: is, existed: had && was.Sound(), exists: has, others: a.Apps}
			effects = append(effects, e.effects()...)
		}
	}
	return effects
}

type comparison struct {
	snapshot        world.Snapshot
	node            intent.Name
	before, after   intent.App
	existed, exists bool
	others          []intent.App
}

func (e comparison) effects() []Effect {
	if e.exists && !e.after.Sound() {
		return []Effect{e.newEffect("every agent", "keep", "", e.after.Phase+": "+e.after.Reason)}
	}
	return slices.Concat(e.installEffects(), e.portEffects(), e.serviceEffects())
}

func (e comparison) newEffect(agent, action, what, reason string) Effect {
	app := e.after.Name
	if !e.exists {
		app = e.before.Name
	}
	return Effect{e.node, agent, app, action, what, reason}
}

func (e comparison) installEffects() (effects []Effect) {
	report, reported := e.snapshot.Reports[world.AgentID{Agent: world.Preparer, Node: e.node}]
	have := report.Subjects[string(e.after.Name)].Have
	moved := e.existed && e.before.Deploy.Basedir != e.after.Deploy.Basedir
	for _, v := range e.after.Config.Wanted() {
		switch {
		case !reported:
			effects = append(effects, e.newEffect(world.Preparer, "fetch", string(v), "no report from preparer says that it is installed"))
		case !world.ListContains(have, v) || moved:
			effects = append(effects, e.newEffect(world.Preparer, "fetch", string(v), "not installed below "+e.after.Deploy.Basedir))
		case e.existed && e.otherDigest(v):
			effects = append(effects, e.newEffect(world.Preparer, "refuse", string(v),
				"it is installed with another sha256: publish other content as another version"))
		}
	}
	if !e.existed {
		return effects
	}
	if e.exists && keepCount(e.after) < keepCount(e.before) {
		effects = append(effects, e.newEffect(world.Preparer, "prune", "", fmt.Sprintf("installs that nothing names, beyond the newest %d", keepCount(e.after))))
	}
	for _, v := range e.before.Config.Wanted() {
		if _, still := e.after.Config.Versions[v]; !still {
			reason := "no longer named; the newest installs are kept"
			if !e.exists {
				reason = "the node no longer has the app"
			}
			effects = append(effects, e.newEffect(world.Preparer, "prune", string(v), reason))
		}
	}
	return effects
}

// otherDigest reports whether a pinned version would get another artifact.
func (e comparison) otherDigest(v intent.Name) bool {
	was, is := e.before.Config.Versions[v].SHA256, e.after.Config.Versions[v].SHA256
	return was != "" && is != "" && was != is
}

func keepCount(app intent.App) int {
	if app.Deploy.Keep > 0 {
		return app.Deploy.Keep
	}
	return intent.DefaultKeep
}

func (e comparison) portEffects() (effects []Effect) {
	var before, after []intent.Port
	if e.existed {
		before = e.before.Deploy.Ports
	}
	if e.exists {
		after = e.after.Deploy.Ports
	}
	for _, p := range after {
		if !contains(before, p) {
			effects = append(effects, e.newEffect(world.PortAuthority, "open", describe(p), "declared by deploy_config"))
		}
	}
	for _, p := range before {
		if contains(after, p) {
			continue
		}
		closing := true
		for _, other := range e.others {
			closing = closing && (other.Name == e.before.Name || !contains(other.Deploy.Ports, p))
		}
		if closing {
			effects = append(effects, e.newEffect(world.PortAuthority, "close", describe(p), "no longer declared"))
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

// equal reports whether two readings of an app request the same, whatever their source and layout.
func equal(a, b intent.App) bool {
	a.Config.UserConfig, b.Config.UserConfig = []byte(compact(a.Config.UserConfig)), []byte(compact(b.Config.UserConfig))
	return a.Cluster == b.Cluster && a.Phase == b.Phase && a.Reason == b.Reason &&
		reflect.DeepEqual(a.Config, b.Config) && reflect.DeepEqual(a.Deploy, b.Deploy)
}
