package main

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/urfave/cli/v2"

	"github.com/platypus-platform/platypus/deploy/platypus/internal/world"
	"github.com/platypus-platform/platypus/intent"
)

// pollInterval is how often a waiting verb reads the reports.
const pollInterval = 500 * time.Millisecond

func statusVerb() verb {
	return verb{
		name: "status", usage: "show where every app stands on every node, and every seed, site, blob and vm", maxArgs: 0,
		text: `One line for each app on each node: the active version, what is installed, which ports are open, what is live,
and, when something is not as declared, the first thing that the rest waits for. An app that an allocator placed is
listed like one that a person put there. All of it is what the agents reported; an agent that does not report or is not
alive is said to be so. With -o json each line holds the whole chain: what every agent wants and has, its attempts, its
next try, and its last transitions.
Seeds follow, where there are any: the module, on how many nodes it is ready and on how many it is wanted, which nodes
these are, and what hinders. Then come sites, blobs and vms, and values that nothing can use.
On a terminal that is too narrow, reasons stand on lines of their own.
--check is a probe for monitoring: exit code 2 when anything that is declared is not converged, 1 when it cannot be known.`,
		examples: []string{"platypus status", "platypus status --app slug --watch", "platypus status --check -o json"},
		flags: []cli.Flag{
			&cli.StringFlag{Name: "node", Usage: "only this `NODE`"},
			&cli.StringFlag{Name: "app", Usage: "only this `APP`"},
			boolFlag("check", "exit code 2 unless everything that is declared is converged"),
			boolFlag("watch", "show it again whenever it changes, until interrupted", "w"),
			outputFlag(),
		},
		run: status,
	}
}

// statusRows are the rows that status shows.
type statusRows struct {
	rows  []world.Row
	seeds []world.SeedRow
	items []world.Item
}

func (o statusRows) size() int { return len(o.rows) + len(o.seeds) + len(o.items) }

// pendingItems describes everything that is not converged, each with the command for details.
func (o statusRows) pendingItems() (lines, next []string) {
	for _, r := range o.rows {
		if !r.Converged() {
			lines = append(lines, fmt.Sprintf("%s on %s is %s: %s", r.App, r.Node, r.Phase, reasonOnly(r.Phase, r.Reason)))
			next = append(next, fmt.Sprintf("platypus why %s %s", r.App, r.Node))
		}
	}
	for _, s := range o.seeds {
		if !s.Converged() {
			lines = append(lines, fmt.Sprintf("seed %s is %s: %s", s.Seed, s.Phase, reasonOnly(s.Phase, s.Reason)))
			next = append(next, fmt.Sprintf("platypus explain %s", s.Seed))
		}
	}
	for _, i := range o.items {
		if i.Converged() {
			continue
		}
		lines = append(lines, fmt.Sprintf("%s %s is %s: %s", i.Kind, i.Name, i.Phase, reasonOnly(i.Phase, i.Reason)))
		switch i.Kind {
		case world.KindSite, world.KindBlob, world.KindVM:
			next = append(next, fmt.Sprintf("platypus explain %s", i.Name))
		default:
			next = append(next, "platypus status")
		}
	}
	return lines, next
}

func status(ctx context.Context, cmd *command) error {
	shown := ""
	for {
		w, err := world.ReadAll(ctx, cmd.store, cmd.tree)
		if err != nil && ctx.Err() == nil {
			return err
		}
		if ctx.Err() != nil {
			return nil
		}
		o, err := cmd.selectRows(w)
		if err != nil {
			return err
		}
		if now := fmt.Sprint(o); now != shown {
			shown = now
			if err := cmd.printStatus(w, o); err != nil {
				return err
			}
		}
		if !cmd.flags.Bool("watch") {
			return cmd.checkStatus(w, o)
		}
		pause(ctx, pollInterval)
	}
}

// selectRows returns the rows that the flags select. An undeclared name is an error, not an empty result.
func (cmd *command) selectRows(w world.Snapshot) (statusRows, error) {
	node, app := intent.Name(cmd.flags.String("node")), cmd.flags.String("app")
	o := statusRows{rows: []world.Row{}, seeds: []world.SeedRow{}, items: []world.Item{}}
	for _, r := range w.Rows() {
		if (node == "" || r.Node == node) && (app == "" || string(r.App) == app) {
			o.rows = append(o.rows, r)
		}
	}
	if app != "" {
		return o, cmd.appNotFound(w, o, app)
	}
	for _, s := range w.Seeds() {
		if node == "" || slices.Contains(s.Nodes, node) || w.PlacerPending(node, string(s.Seed)) {
			o.seeds = append(o.seeds, s)
		}
	}
	for _, i := range w.Items() {
		if node == "" || slices.Contains(i.Nodes, node) || i.Kind == world.KindSite && w.PlacerPending(node, "site/"+i.Name) {
			o.items = append(o.items, i)
		}
	}
	if lost, is := w.LostPlacer(node); is {
		o.items = append(o.items, lost)
	}
	if o.size() == 0 && node != "" && !w.Alive[world.AgentID{Agent: world.SeedPlacer, Node: node}] {
		return o, notDeclared("node", string(node), w.Nodes())
	}
	return o, nil
}

// appNotFound says why there is no row for a requested app.
func (cmd *command) appNotFound(w world.Snapshot, o statusRows, app string) error {
	if len(o.rows) > 0 {
		return nil
	}
	for _, s := range w.Seeds() {
		if string(s.Seed) == app {
			return fmt.Errorf("%s is a seed and no app: platypus explain %s", app, app)
		}
	}
	if item, found := w.Item(app); found {
		return fmt.Errorf("%s is a %s and no app: platypus explain %s", app, item.Kind, app)
	}
	if slices.Contains(w.Apps(), intent.Name(app)) {
		return fmt.Errorf("%s is declared and on no node; next: declare nodes/NODE/%s, or platypus launch --app %s --help", app, app, app)
	}
	return appNotDeclared(app, w.Apps())
}

func (cmd *command) printStatus(w world.Snapshot, o statusRows) error {
	if cmd.json {
		lines, _ := o.pendingItems()
		return cmd.printJSON("status/2", map[string]any{"index": w.Index, "converged": len(lines) == 0 && len(w.Denied) == 0,
			"rows": o.rows, "seeds": o.seeds, "items": o.items, "denied": append([]intent.Prefix{}, w.Denied...)})
	}
	for _, prefix := range w.Denied {
		cmd.infof("note: the token may not read %s: what agents wrote there is not shown; next: platypus acl", prefix)
	}
	if o.size() == 0 && len(w.Pairs) == 0 {
		cmd.infof("nothing is declared below %q yet; next: platypus apply FILE", cmd.tree.Intent())
		return nil
	}
	if o.size() == 0 {
		cmd.infof("no app is on any node; next: platypus apply FILE, or platypus vms, where machines are")
		return nil
	}
	gap := false
	for _, part := range []struct {
		rows int
		show func()
	}{{len(o.rows), func() { cmd.printApps(o.rows) }}, {len(o.seeds), func() { cmd.printSeeds(o.seeds) }}, {len(o.items), func() { cmd.printItems(o.items) }}} {
		if part.rows == 0 {
			continue
		}
		if gap {
			cmd.printf("")
		}
		gap = true
		part.show()
	}
	cmd.printHeld(w)
	if cmd.flags.Bool("watch") {
		cmd.printf("")
	}
	return nil
}

// printHeld lists the removals that wait for a person.
func (cmd *command) printHeld(w world.Snapshot) {
	order := func(a, b world.AgentID) int { return strings.Compare(string(a.Node)+a.Agent, string(b.Node)+b.Agent) }
	for _, who := range slices.SortedFunc(maps.Keys(w.Reports), order) {
		if held := w.Reports[who].Held; held != nil {
			cmd.infof("%s on %s holds back the removal of %s: if that is meant, platypus confirm %s", who.Agent, who.Node,
				strings.Join(held.Removes, ", "), who.Node)
		}
	}
}

func (cmd *command) printApps(rows []world.Row) {
	now := time.Now()
	cells := make([][]string, 0, len(rows))
	for _, r := range rows {
		cells = append(cells, []string{string(r.App), string(r.Node), r.Want, strings.Join(r.Installed, ", "), strings.Join(r.Ports, ", "), r.Live,
			cmd.style.colourPhase(r.Phase), world.Age(r.Since, now), rowReason(r, now)})
	}
	cmd.printTable([]string{"APP", "NODE", "WANT", "INSTALLED", "PORTS", "LIVE", "PHASE", "SINCE", "REASON"}, cells)
}

// printSeeds prints seeds in their own table, because no columns match those of apps.
func (cmd *command) printSeeds(seeds []world.SeedRow) {
	cells := make([][]string, 0, len(seeds))
	for _, s := range seeds {
		digest := ""
		if s.Digest != "" {
			digest = fmt.Sprintf("sha256:%.12s", s.Digest)
		}
		cells = append(cells, []string{string(s.Seed), digest, fmt.Sprintf("%d/%d", s.Ready, s.Wanted), firstNodes(s.Nodes),
			cmd.style.colourPhase(s.Phase), reasonOnly(s.Phase, s.Reason)})
	}
	cmd.printTable([]string{"SEED", "MODULE", "READY", "NODES", "PHASE", "REASON"}, cells)
}

// printItems prints sites, blobs and vms.
func (cmd *command) printItems(items []world.Item) {
	cells := make([][]string, 0, len(items))
	for _, i := range items {
		name, ready := i.Name, fmt.Sprintf("%d/%d", i.Ready, i.Wanted)
		if i.Kind == world.KindBlob && len(name) > 12 {
			name = name[:12]
		}
		if i.Wanted == 0 && i.Phase == intent.PhaseInvalid {
			ready = ""
		}
		cells = append(cells, []string{i.Kind, name, ready, firstNodes(i.Nodes), cmd.style.colourPhase(i.Phase), reasonOnly(i.Phase, i.Reason)})
	}
	cmd.printTable([]string{"KIND", "NAME", "READY", "NODES", "PHASE", "REASON"}, cells)
}

// firstNodes joins the first of many nodes.
func firstNodes(nodes []intent.Name) string {
	const most = 5
	var words []string
	for _, n := range nodes[:min(most, len(nodes))] {
		words = append(words, string(n))
	}
	text := strings.Join(words, ", ")
	if more := len(nodes) - most; more > 0 {
		text += fmt.Sprintf(" and %d more", more)
	}
	return text
}

// rowReason says why a row is not converged, and how often it was tried.
func rowReason(r world.Row, now time.Time) string {
	text := reasonOnly(r.Phase, r.Reason)
	if l, open := r.FirstPending(); open && l.State.Phase == world.Failed {
		if t := retryText(l.State, now); t != "" {
			text += " (" + t + ")"
		}
	}
	return text
}

// checkStatus returns the exit code of --check, with its reasons.
func (cmd *command) checkStatus(w world.Snapshot, o statusRows) error {
	if !cmd.flags.Bool("check") {
		return nil
	}
	lines, next := o.pendingItems()
	for _, line := range lines {
		cmd.infof("%s", line)
	}
	if len(lines) > 0 {
		cmd.infof("%d of %d are not converged; next: %s", len(lines), o.size(), next[0])
		return exit(exitPending)
	}
	if len(w.Denied) > 0 {
		return fmt.Errorf("the token may not read %s: whether all is converged is not known; next: platypus acl", w.Denied[0])
	}
	return nil
}
