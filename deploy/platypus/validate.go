package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/urfave/cli/v2"

	"github.com/platypus-platform/platypus/deploy/platypus/internal/intentfile"
	"github.com/platypus-platform/platypus/deploy/platypus/internal/world"
	"github.com/platypus-platform/platypus/store"
)

// storeTimeout is how long validate waits for a store, which is optional.
const storeTimeout = 10 * time.Second

func validateVerb() verb {
	return verb{
		name: "validate", usage: "find what is wrong with intent files, before anything is written", args: "FILE…", minArgs: 1, maxArgs: -1,
		text: `Shows every mistake with its place. Values are also checked against each other and, when a store answers,
against what is declared there: clusters that lack a value, basedirs that overlap, ports that two apps claim.
Warnings do not fail, except with --strict.`,
		examples: []string{"platypus validate slug.json", "platypus validate --strict --offline intent/", "consul kv export platypus/intent/ | platypus validate -"},
		flags: []cli.Flag{
			boolFlag("strict", "warnings fail too"),
			boolFlag("offline", "look at the files alone, ask no store"),
			outputFlag(),
		},
		run: validate,
	}
}

func validate(ctx context.Context, cmd *command) error {
	files, err := cmd.readFiles()
	if err != nil {
		return err
	}
	now := world.Snapshot{Tree: cmd.tree}
	if !cmd.flags.Bool("offline") {
		if now, err = cmd.readStoreIfReachable(ctx); err != nil {
			return err
		}
	}
	found := diagnose(completed(now, files.Entries), now)
	errs, warnings := count(found)
	if cmd.json {
		err = cmd.printJSON("validate", map[string]any{"valid": errs == 0, "problems": diagnosticsJSON(found)})
	} else {
		printDiagnostics(cmd.out, cmd.style, found)
	}
	if err != nil {
		return err
	}
	cmd.infof("%s: %s", plural(len(files.Entries), "key"), tally(errs, warnings))
	if errs > 0 || warnings > 0 && cmd.flags.Bool("strict") {
		return exit(exitError)
	}
	return nil
}

// readStoreIfReachable reads intent from the store; without a store, only the files are validated.
func (cmd *command) readStoreIfReachable(ctx context.Context) (world.Snapshot, error) {
	ctx, cancel := context.WithTimeout(ctx, storeTimeout)
	defer cancel()
	now, err := world.ReadIntent(ctx, cmd.store, cmd.tree)
	if errors.Is(err, store.ErrUnreachable) || errors.Is(err, store.ErrDenied) {
		cmd.infof("note: the store at %s was not asked (%v): only the files were checked against each other", cmd.store.Address(), shortCause(err))
		return world.Snapshot{Tree: cmd.tree}, nil
	}
	return now, err
}

// shortCause says in a word why a store did not answer.
func shortCause(err error) error {
	if errors.Is(err, store.ErrDenied) {
		return store.ErrDenied
	}
	return store.ErrUnreachable
}

// diagnose returns the problems of the entries, alone and together with declared values.
func diagnose(entries []intentfile.Entry, now world.Snapshot) []intentfile.Diagnostic {
	found := intentfile.Check(entries)
	touched, places := map[string]bool{}, map[string]intentfile.Position{}
	for _, e := range entries {
		touched[e.Key], places[e.Key] = true, e.Position
	}
	for _, p := range now.Apply(edits(entries)).CrossCheck(touched) {
		at := places[p.Key]
		p.Line, p.Col = at.LineCol()
		found = append(found, intentfile.Diagnostic{Problem: p, Place: at})
	}
	return found
}

func edits(entries []intentfile.Entry) []world.Edit {
	all := make([]world.Edit, 0, len(entries))
	for _, e := range entries {
		all = append(all, world.Edit{Key: e.Key, Value: e.Value})
	}
	return all
}

func count(found []intentfile.Diagnostic) (errs, warnings int) {
	for _, f := range found {
		if f.Warning {
			warnings++
		} else {
			errs++
		}
	}
	return errs, warnings
}

func tally(errs, warnings int) string {
	if errs+warnings == 0 {
		return "all is well"
	}
	return plural(errs, "error") + ", " + plural(warnings, "warning")
}

// printDiagnostics prints each problem with its line.
func printDiagnostics(w io.Writer, s style, found []intentfile.Diagnostic) {
	for _, f := range found {
		level := s.red("error")
		if f.Warning {
			level = s.yellow("warning")
		}
		where := f.Key
		if f.Pointer != "" {
			where += " " + f.Pointer
		}
		if f.Place.Encoded() {
			where += fmt.Sprintf(" (line %d, column %d of the value)", f.Line, f.Col)
		}
		fmt.Fprintf(w, "%s: %s: %s: %s\n", f.Place, level, where, f.Text)
		showExcerpt(w, f.Place)
	}
}

// diagnosticsJSON returns problems for programs.
func diagnosticsJSON(found []intentfile.Diagnostic) []map[string]any {
	all := make([]map[string]any, 0, len(found))
	for _, f := range found {
		all = append(all, map[string]any{"file": f.Place.File(), "line": f.Line, "col": f.Col, "key": f.Key,
			"pointer": f.Pointer, "text": f.Text, "warning": f.Warning})
	}
	return all
}
