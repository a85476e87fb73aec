package main

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/urfave/cli/v2"

	"github.com/platypus-platform/platypus/deploy/platypus/internal/world"
	"github.com/platypus-platform/platypus/intent"
)

// lookAgain is how often a verb that follows the reports reads them.
const lookAgain = 500 * time.Millisecond

func statusVerb() verb {
	return verb{
		name: "status", usage: "show where every app stands on every node, and every seed", max: 0,
		text: `One line for each app on each node: the active version, what is installed, which ports are open, what is live,
and, when something is not as declared, the first thing that the rest waits for. All of it is what the agents reported;
an agent that does not report or is not alive is said to be so. With -o json each line holds the whole chain: what every
agent wants and has, its attempts, its next try, and its last transitions.
Seeds follow, where there are any: the module, on how many nodes it is ready and on how many it is wanted, which nodes
these are, and what hinders.
--check is a probe for monitoring: exit code 2 when any app is not converged.`,
		examples: []string{"platypus status", "platypus status --app slug --watch", "platypus status --check -o json"},
		flags: []cli.Flag{
			&cli.StringFlag{Name: "node", Usage: "only this `NODE`"},
			&cli.StringFlag{Name: "app", Usage: "only this `APP`"},
			boolFlag("check", "exit code 2 unless every app is converged"),
			boolFlag("watch", "show it again whenever it changes, until interrupted", "w"),
			outputFlag(),
		},
		run: status,
	}
}

func status(ctx context.Context, sh *shell) error {
	shown := ""
	for {
		w, err := world.Read(ctx, sh.store, sh.tree)
		if err != nil && ctx.Err() == nil {
			return err
		}
		if ctx.Err() != nil {
			return nil
		}
		all, err := w.Seeds(ctx, sh.store)
		if err != nil && ctx.Err() == nil {
			return err
		}
		rows, seeds, err := sh.pick(w, all)
		if err != nil {
			return err
		}
		if now := fmt.Sprint(rows, seeds); now != shown {
			shown = now
			if err := sh.showStatus(w, rows, seeds); err != nil {
				return err
			}
		}
		if !sh.flags.Bool("watch") {
			return sh.verdict(rows)
		}
		pause(ctx, lookAgain)
	}
}

// pick returns the rows that the flags ask for. A name that nothing is declared for is a mistake, not an empty answer.
func (sh *shell) pick(w world.World, all []world.SeedRow) ([]world.Row, []world.SeedRow, error) {
	node, app := sh.flags.String("node"), sh.flags.String("app")
	rows := []world.Row{}
	for _, r := range w.Rows() {
		if (node == "" || string(r.Node) == node) && (app == "" || string(r.App) == app) {
			rows = append(rows, r)
		}
	}
	seeds := []world.SeedRow{}
	for _, s := range all {
		if app == "" && (node == "" || slices.Contains(s.Nodes, intent.Name(node))) {
			seeds = append(seeds, s)
		}
		if len(rows) == 0 && string(s.Seed) == app {
			return nil, nil, fmt.Errorf("%s is a seed and no app: platypus explain %s", app, app)
		}
	}
	if len(rows) == 0 && app != "" {
		return nil, nil, unknownApp(app, w.Apps())
	}
	if len(rows)+len(seeds) == 0 && node != "" && !w.Alive[world.Who{Agent: world.SeedPlacer, Node: intent.Name(node)}] {
		return nil, nil, unknown("node", node, w.Nodes())
	}
	return rows, seeds, nil
}

func (sh *shell) showStatus(w world.World, rows []world.Row, seeds []world.SeedRow) error {
	if sh.json {
		converged := true
		for _, r := range rows {
			converged = converged && r.Converged()
		}
		return sh.printJSON("status", map[string]any{"index": w.Index, "converged": converged, "rows": rows, "seeds": seeds})
	}
	if len(rows)+len(seeds) == 0 && len(w.Pairs) == 0 {
		sh.say("nothing is declared below %q yet; next: platypus apply FILE", sh.tree.Intent())
		return nil
	}
	if len(rows)+len(seeds) == 0 {
		sh.say("no app is on any node; next: platypus apply FILE, or platypus vms, where machines are")
		return nil
	}
	sh.showApps(rows)
	if len(rows) > 0 && len(seeds) > 0 {
		sh.print("")
	}
	sh.showSeeds(seeds)
	for who, report := range w.Reports {
		if report.Held != nil {
			sh.say("%s on %s holds back the removal of %v: if that is meant, platypus confirm %s", who.Agent, who.Node, report.Held.Removes, who.Node)
		}
	}
	if sh.flags.Bool("watch") {
		sh.print("")
	}
	return nil
}

func (sh *shell) showApps(rows []world.Row) {
	if len(rows) == 0 {
		return
	}
	now := time.Now()
	cells := make([][]string, 0, len(rows))
	for _, r := range rows {
		cells = append(cells, []string{string(r.App), string(r.Node), r.Want, r.Installed, r.Ports, r.Live,
			sh.style.phase(r.Phase), world.Age(r.Since, now), reason(r, now)})
	}
	sh.printTable([]string{"APP", "NODE", "WANT", "INSTALLED", "PORTS", "LIVE", "PHASE", "SINCE", "REASON"}, cells)
}

// showSeeds has a table of its own: a seed has no columns in common with an app.
func (sh *shell) showSeeds(seeds []world.SeedRow) {
	if len(seeds) == 0 {
		return
	}
	cells := make([][]string, 0, len(seeds))
	for _, s := range seeds {
		digest := ""
		if s.Digest != "" {
			digest = fmt.Sprintf("sha256:%.12s", s.Digest)
		}
		cells = append(cells, []string{string(s.Seed), digest, fmt.Sprintf("%d/%d", s.Ready, s.Wanted), few(s.Nodes),
			sh.style.phase(s.Phase), bare(s.Phase, s.Reason)})
	}
	sh.printTable([]string{"SEED", "MODULE", "READY", "NODES", "PHASE", "REASON"}, cells)
}

// few names the first nodes of many.
func few(nodes []intent.Name) string {
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

// reason says why a row is as it is, and how often that was tried.
func reason(r world.Row, now time.Time) string {
	text := bare(r.Phase, r.Reason)
	if l, open := r.Deciding(); open && l.State.Phase == world.Failed {
		if t := tries(l.State, now); t != "" {
			text += " (" + t + ")"
		}
	}
	return text
}

// verdict is the exit code of --check, with its reasons.
func (sh *shell) verdict(rows []world.Row) error {
	if !sh.flags.Bool("check") {
		return nil
	}
	open := 0
	for _, r := range rows {
		if !r.Converged() {
			open++
			sh.say("%s on %s is %s: %s", r.App, r.Node, r.Phase, bare(r.Phase, r.Reason))
		}
	}
	if open > 0 {
		sh.say("%d of %d are not converged; next: platypus why APP NODE", open, len(rows))
		return exit(exitPending)
	}
	return nil
}
