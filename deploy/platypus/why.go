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

func whyVerb() verb {
	return verb{
		name: "why", usage: "explain, agent by agent, why an app is or is not live", args: "APP [NODE]", minArgs: 1, maxArgs: 2,
		text: `Walks the chain that brings an app live on a node: is it declared, installed, are its ports open, does it run.
For each it says what is wanted, what the agent reported, the last error, how often it was tried, when it is tried
again, what came before, and what to do. --history shows all that agents remember of it: the last 20 transitions each.
Of a seed, a site, a blob or a vm it says what platypus explain says. Exit code 2 when anything is not converged.`,
		examples: []string{"platypus why slug", "platypus why slug web1 --history", "platypus why slug web1 -o json"},
		flags:    []cli.Flag{boolFlag("history", "show all transitions that agents remember, also of what is well"), outputFlag()},
		run:      why,
	}
}

func why(ctx context.Context, cmd *command) error {
	w, err := world.Read(ctx, cmd.store, cmd.tree)
	if err != nil {
		return err
	}
	var rows []world.Row
	for _, r := range w.Rows() {
		if string(r.App) == cmd.args[0] && (len(cmd.args) == 1 || string(r.Node) == cmd.args[1]) {
			rows = append(rows, r)
		}
	}
	if len(rows) == 0 {
		return cmd.appUnknown(ctx, w)
	}
	code := exit(0)
	chains := []map[string]any{}
	for i, r := range rows {
		if !r.Converged() {
			code = exitPending
		}
		if cmd.json {
			chains = append(chains, map[string]any{"app": r.App, "node": r.Node, "phase": r.Phase, "chain": r.Stages})
			continue
		}
		if i > 0 {
			cmd.printf("")
		}
		cmd.printStages(w, r)
	}
	if cmd.json {
		if err := cmd.printJSON("why", map[string]any{"rows": chains}); err != nil {
			return err
		}
	}
	if code != 0 {
		return code
	}
	return nil
}

// appUnknown explains a name that no app on the selected nodes has.
func (cmd *command) appUnknown(ctx context.Context, w world.Snapshot) error {
	app := cmd.args[0]
	if !slices.Contains(w.Apps(), intent.Name(app)) {
		return cmd.explainOther(ctx, w)
	}
	var nodes []string
	for _, r := range w.Rows() {
		if string(r.App) == app {
			nodes = append(nodes, string(r.Node))
		}
	}
	where := "NODE"
	if len(cmd.args) == 2 {
		where = cmd.args[1]
	}
	next := fmt.Sprintf("declare nodes/%s/%s as {\"cluster\": …} with platypus apply, or platypus launch --app %s --help", where, app, app)
	if len(nodes) > 0 {
		return fmt.Errorf("%s is not on %s, it is on %s; next: %s", app, where, strings.Join(nodes, ", "), next)
	}
	return fmt.Errorf("%s is declared, but on no node; next: %s", app, next)
}

// explainOther explains something that is not an app.
func (cmd *command) explainOther(ctx context.Context, w world.Snapshot) error {
	for _, prefix := range []intent.Prefix{w.Tree.Seeds(), w.Tree.Sites(), w.Tree.Blobs(), w.Tree.VMs()} {
		below, _ := w.Tree.Intent().Below(prefix.Key(intent.Name(cmd.args[0])))
		if _, declared := w.Get(below); declared {
			return explain(ctx, cmd)
		}
	}
	return appNotDeclared(cmd.args[0], w.Apps())
}

// printStages prints the stages in words, down to the next step.
func (cmd *command) printStages(w world.Snapshot, r world.Row) {
	cluster := ""
	if r.Cluster != "" {
		cluster = fmt.Sprintf(" (cluster %s)", r.Cluster)
	}
	cmd.printf("%s on %s%s: %s", cmd.style.bold(string(r.App)), r.Node, cluster, cmd.style.colourPhase(r.Phase))
	deciding, open := r.FirstPending()
	for _, l := range r.Stages {
		mark := cmd.style.green("ok  ")
		switch {
		case l.Idle:
			mark = cmd.style.dim("-   ")
		case !l.OK() && open && l.Name == deciding.Name:
			mark = cmd.style.red("here")
		case !l.OK():
			mark = cmd.style.yellow("wait")
		}
		cmd.printf("  %s  %-9s  %s", mark, l.Name, strings.Join(stageText(l), "; "))
		cmd.printTransitions(l)
	}
	if !open {
		cmd.printf("  everything is as declared")
		return
	}
	if deciding.Next != "" {
		cmd.printf("next: %s", strings.ReplaceAll(deciding.Next, "APP", string(r.App)))
	}
}

// defaultTransitions is how many are shown of a stage that is not OK, without --history.
const defaultTransitions = 5

// printTransitions prints the recent transitions of a stage.
func (cmd *command) printTransitions(l world.Stage) {
	past := l.State.Transitions
	switch {
	case cmd.flags.Bool("history"):
	case l.OK():
		return
	default:
		past = past[max(0, len(past)-defaultTransitions):]
	}
	for _, t := range past {
		words := t.Phase
		if t.Want != "" {
			words += " " + t.Want
		}
		if t.Text != "" {
			words += ": " + reasonOnly(t.Phase, t.Text)
		}
		cmd.printf("%s", cmd.style.dim("                     "+t.At.UTC().Format("2006-01-02 15:04:05")+"  "+printable(words)))
	}
}

// stageText says what is requested from an agent and its state.
func stageText(l world.Stage) []string {
	now, s := time.Now(), l.State
	switch {
	case l.Agent == "" && l.OK():
		return []string{s.Reason}
	case l.Agent == "":
		return []string{s.Phase, s.Reason}
	case l.Idle:
		return []string{"nothing is asked of " + l.Agent}
	}
	said := []string{fmt.Sprintf("%s: wanted %s, has %s", l.Agent, orElse(l.Want, "nothing"), orElse(s.Have, "nothing"))}
	if s.Phase != world.Converged {
		said = append(said, s.Phase)
	}
	if s.Reason != "" {
		said = append(said, reasonOnly(s.Phase, s.Reason))
	}
	if !s.Since.IsZero() {
		said = append(said, "for "+world.Age(s.Since, now))
	}
	if s.Error != "" {
		said = append(said, "last error: "+s.Error)
	}
	if t := retryText(s, now); t != "" {
		said = append(said, t)
	}
	return said
}

// retryText says how often something failed, and when the next attempt is; agents never give up.
func retryText(s intent.State, now time.Time) string {
	if s.Attempts == 0 {
		return ""
	}
	text := plural(s.Attempts, "attempt")
	if s.NextTry.After(now) {
		text += ", next in " + s.NextTry.Sub(now).Round(time.Second).String()
	}
	return text
}

func orElse(text, otherwise string) string {
	if text == "" {
		return otherwise
	}
	return text
}
