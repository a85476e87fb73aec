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
		name: "why", usage: "explain, agent by agent, why an app is or is not live", args: "APP [NODE]", min: 1, max: 2,
		text: `Walks the chain that brings an app live on a node: is it declared, installed, are its ports open, does it run.
For each it says what is wanted, what the agent reported, the last error, how often it was tried, when it is tried
again, what came before, and what to do. --history shows all that agents remember of it: the last 20 transitions each.
Of a seed, a site, a blob or a vm it says what platypus explain says. Exit code 2 when anything is not converged.`,
		examples: []string{"platypus why slug", "platypus why slug web1 --history", "platypus why slug web1 -o json"},
		flags:    []cli.Flag{boolFlag("history", "show all transitions that agents remember, also of what is well"), outputFlag()},
		run:      why,
	}
}

func why(ctx context.Context, sh *shell) error {
	w, err := world.Read(ctx, sh.store, sh.tree)
	if err != nil {
		return err
	}
	var rows []world.Row
	for _, r := range w.Rows() {
		if string(r.App) == sh.args[0] && (len(sh.args) == 1 || string(r.Node) == sh.args[1]) {
			rows = append(rows, r)
		}
	}
	if len(rows) == 0 {
		return sh.nowhere(ctx, w)
	}
	code := exit(0)
	chains := []map[string]any{}
	for i, r := range rows {
		if !r.Converged() {
			code = exitPending
		}
		if sh.json {
			chains = append(chains, map[string]any{"app": r.App, "node": r.Node, "phase": r.Phase, "chain": r.Stages})
			continue
		}
		if i > 0 {
			sh.print("")
		}
		sh.explain(w, r)
	}
	if sh.json {
		if err := sh.printJSON("why", map[string]any{"rows": chains}); err != nil {
			return err
		}
	}
	if code != 0 {
		return code
	}
	return nil
}

// nowhere says what is known of a name that no app on the nodes asked for has.
func (sh *shell) nowhere(ctx context.Context, w world.Snapshot) error {
	app := sh.args[0]
	if !slices.Contains(w.Apps(), intent.Name(app)) {
		return sh.whyOther(ctx, w)
	}
	var nodes []string
	for _, r := range w.Rows() {
		if string(r.App) == app {
			nodes = append(nodes, string(r.Node))
		}
	}
	where := "NODE"
	if len(sh.args) == 2 {
		where = sh.args[1]
	}
	next := fmt.Sprintf("declare nodes/%s/%s as {\"cluster\": …} with platypus apply, or platypus launch --app %s --help", where, app, app)
	if len(nodes) > 0 {
		return fmt.Errorf("%s is not on %s, it is on %s; next: %s", app, where, strings.Join(nodes, ", "), next)
	}
	return fmt.Errorf("%s is declared, but on no node; next: %s", app, next)
}

// whyOther explains what is no app.
func (sh *shell) whyOther(ctx context.Context, w world.Snapshot) error {
	for _, prefix := range []intent.Prefix{w.Tree.Seeds(), w.Tree.Sites(), w.Tree.Blobs(), w.Tree.VMs()} {
		below, _ := w.Tree.Intent().Below(prefix.Key(intent.Name(sh.args[0])))
		if _, declared := w.Get(below); declared {
			return explain(ctx, sh)
		}
	}
	return unknownApp(sh.args[0], w.Apps())
}

// explain writes the chain in words, down to what to do.
func (sh *shell) explain(w world.Snapshot, r world.Row) {
	cluster := ""
	if r.Cluster != "" {
		cluster = fmt.Sprintf(" (cluster %s)", r.Cluster)
	}
	sh.print("%s on %s%s: %s", sh.style.bold(string(r.App)), r.Node, cluster, sh.style.phase(r.Phase))
	deciding, open := r.FirstPending()
	for _, l := range r.Stages {
		mark := sh.style.green("ok  ")
		switch {
		case l.Idle:
			mark = sh.style.dim("-   ")
		case !l.OK() && open && l.Name == deciding.Name:
			mark = sh.style.red("here")
		case !l.OK():
			mark = sh.style.yellow("wait")
		}
		sh.print("  %s  %-9s  %s", mark, l.Name, strings.Join(sentence(l), "; "))
		sh.recall(l)
	}
	if !open {
		sh.print("  everything is as declared")
		return
	}
	if deciding.Next != "" {
		sh.print("next: %s", strings.ReplaceAll(deciding.Next, "APP", string(r.App)))
	}
}

// fewTransitions is how many are shown of a link that is not well, unless more is asked for.
const fewTransitions = 5

// recall writes how a link came to where it stands.
func (sh *shell) recall(l world.Stage) {
	past := l.State.Transitions
	switch {
	case sh.flags.Bool("history"):
	case l.OK():
		return
	default:
		past = past[max(0, len(past)-fewTransitions):]
	}
	for _, t := range past {
		words := t.Phase
		if t.Want != "" {
			words += " " + t.Want
		}
		if t.Text != "" {
			words += ": " + bare(t.Phase, t.Text)
		}
		sh.print("%s", sh.style.dim("                     "+t.At.UTC().Format("2006-01-02 15:04:05")+"  "+words))
	}
}

// sentence says what an agent is asked for and where it stands.
func sentence(l world.Stage) []string {
	now, s := time.Now(), l.State
	switch {
	case l.Agent == "" && l.OK():
		return []string{s.Reason}
	case l.Agent == "":
		return []string{s.Phase, s.Reason}
	case l.Idle:
		return []string{"nothing is asked of " + l.Agent}
	}
	said := []string{fmt.Sprintf("%s: wanted %s, has %s", l.Agent, or(l.Want, "nothing"), or(s.Have, "nothing"))}
	if s.Phase != world.Converged {
		said = append(said, s.Phase)
	}
	if s.Reason != "" {
		said = append(said, bare(s.Phase, s.Reason))
	}
	if !s.Since.IsZero() {
		said = append(said, "for "+world.Age(s.Since, now))
	}
	if s.Error != "" {
		said = append(said, "last error: "+s.Error)
	}
	if t := tries(s, now); t != "" {
		said = append(said, t)
	}
	return said
}

// tries says how often in a row something failed, and when it is tried again; agents never give up.
func tries(s intent.State, now time.Time) string {
	if s.Attempts == 0 {
		return ""
	}
	text := plural(s.Attempts, "attempt")
	if s.NextTry.After(now) {
		text += ", next in " + s.NextTry.Sub(now).Round(time.Second).String()
	}
	return text
}

func or(text, otherwise string) string {
	if text == "" {
		return otherwise
	}
	return text
}
