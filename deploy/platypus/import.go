package main

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"os"
	"strings"

	"github.com/urfave/cli/v2"

	"github.com/platypus-platform/platypus/deploy/platypus/internal/change"
	"github.com/platypus-platform/platypus/deploy/platypus/internal/intentfile"
	"github.com/platypus-platform/platypus/deploy/platypus/internal/inventory"
	"github.com/platypus-platform/platypus/deploy/platypus/internal/world"
	"github.com/platypus-platform/platypus/store/history"
)

func importVerb() verb {
	return verb{
		name: "import", usage: "declare regions or machines from a sheet", args: "regions|machines FILE", min: 2, max: 2,
		text: `Reads a sheet of comma-separated values, or intent as JSON, and declares what differs. Columns are found by name:
  regions    original,code,location,status
  machines   region,address,…,datacenter,memory_total (bytes),…,cores_total,…,status (19 columns as in fly-light)
A machine is called as its host; where that names no single machine (localhost, two ports of one address) the port is
part of the name. Its address is kept as it stands. Users, passwords, tokens and paths of keys are never taken over, not
into the store and not into messages.
Importing again changes only what changed. It never touches what people decided since: state, labels, what is reserved;
nor what is allocated, which the ledgers say. A damaged row is told with its line and column and costs no other row:
the rest is declared, and the exit code is 1. --prune takes away what the file no longer names, unless vms are on it or
any row was damaged.`,
		examples: []string{"platypus import regions fly_io_regions.csv", "platypus import machines --dry-run machine.csv"},
		flags: []cli.Flag{
			messageFlag(),
			boolFlag("prune", "take away what the file does not name"),
			dryRunFlag(), forceFlag(), yesFlag(), outputFlag(),
		},
		run: importSheet,
	}
}

// intake is one import under way.
type intake struct {
	sh   *shell
	kind string // regions or machines
	file string
	data []byte
	now  world.Snapshot
	read inventory.Result
}

func importSheet(ctx context.Context, sh *shell) error {
	in := &intake{sh: sh, kind: sh.args[0], file: sh.args[1]}
	if in.kind != "regions" && in.kind != "machines" {
		return usage("import takes regions or machines, not %q: platypus import machines FILE", in.kind)
	}
	var err error
	if in.data, err = in.open(); err != nil {
		return err
	}
	if in.now, err = world.ReadIntent(ctx, sh.store, sh.tree); err != nil {
		return err
	}
	if in.read, err = in.parse(); err != nil {
		return err
	}
	edits := in.edits()
	if sh.flags.Bool("prune") {
		gone, err := in.gone(ctx)
		if err != nil {
			return err
		}
		edits = append(edits, gone...)
	}
	in.tell()
	return in.write(ctx, change.Changes(in.now, edits))
}

func (in *intake) open() ([]byte, error) {
	if in.file == "-" {
		return io.ReadAll(in.sh.in)
	}
	data, err := os.ReadFile(in.file)
	if err != nil {
		return nil, fmt.Errorf("read %s: %w", in.kind, err)
	}
	return data, nil
}

// parse reads the file as what it looks like.
func (in *intake) parse() (read inventory.Result, err error) {
	trimmed := bytes.TrimSpace(in.data)
	switch {
	case len(trimmed) > 0 && (trimmed[0] == '{' || trimmed[0] == '['):
		return in.parseIntent()
	case in.kind == "regions":
		read, err = inventory.ReadRegions(in.data)
	default:
		read, err = inventory.ReadMachines(in.data, in.declared("regions/"))
	}
	if err != nil {
		err = fmt.Errorf("%s:%w", in.file, err)
	}
	return read, err
}

// parseIntent reads intent as apply does, keys of other kinds left out.
func (in *intake) parseIntent() (read inventory.Result, err error) {
	reader := intentfile.Reader{Tree: in.sh.tree, Stdin: bytes.NewReader(in.data)}
	files, err := reader.Read("-")
	if err != nil {
		return read, err
	}
	bad := map[string]bool{}
	found := intentfile.Check(files.Entries)
	for _, f := range found {
		bad[f.Key] = bad[f.Key] || !f.Warning
		read.Problems = append(read.Problems, inventory.Problem{Line: f.Line, Col: f.Col, Text: f.Key + f.Pointer + ": " + f.Text, Warning: f.Warning})
		if !f.Warning {
			read.Errors++
		}
	}
	for _, e := range files.Entries {
		line, _ := e.Position.LineCol()
		switch {
		case !strings.HasPrefix(e.Key, in.kind+"/"):
			in.sh.say("note: %s is left out: this imports %s", e.Key, in.kind)
		case e.Delete:
			in.sh.say("note: %s is left out: an import removes nothing by null; platypus apply does", e.Key)
		case !bad[e.Key]:
			r, err := inventory.FromIntent(e.Key, e.Value)
			if err != nil {
				return read, fmt.Errorf("%s: %w", e.Position, err)
			}
			r.Line = line
			read.Records = append(read.Records, r)
		}
	}
	return read, nil
}

// declared lists what stands below a key of intent, without that key.
func (in *intake) declared(below string) (names []string) {
	for _, p := range in.now.Pairs {
		if name, ok := strings.CutPrefix(p.Key, string(in.now.Tree.Intent())+below); ok {
			names = append(names, name)
		}
	}
	return names
}

// tell shows what is wrong, with the place.
func (in *intake) tell() {
	s := style{colour: colourful(in.sh.err)}
	for _, p := range in.read.Problems {
		level := s.red("error")
		if p.Warning {
			level = s.yellow("warning")
		}
		in.sh.say("%s:%d:%d: %s: %s", in.file, p.Line, p.Col, level, p.Text)
	}
}

// write declares the changes, as many transactions as it takes, and says what came of it.
func (in *intake) write(ctx context.Context, changes []change.Change) error {
	sh := in.sh
	in.show(changes)
	var commits []history.Commit
	if sh.flags.Bool("dry-run") {
		sh.say("nothing was written: --dry-run")
	} else if len(changes) > 0 {
		if err := sh.agreeTo(changes); err != nil {
			return err
		}
		for done := 0; done < len(changes); done += batch {
			c, err := sh.commit(ctx, changes[done:min(done+batch, len(changes))], history.Request{})
			if err != nil {
				return fmt.Errorf("%w; %d of %d changes were written: import again to finish", err, done, len(changes))
			}
			commits = append(commits, c...)
		}
		sh.wrote(plural(len(changes), "change"), commits)
	}
	if sh.json {
		document := map[string]any{"kind": in.kind, "changes": changes, "problems": in.read.Problems, "rows": len(in.read.Records)}
		tell(document, commits)
		if err := sh.printJSON("import", document); err != nil {
			return err
		}
	}
	switch {
	case in.read.Errors > 0:
		sh.say("%s left out, for the errors above; next: mend them and import again", plural(in.read.Errors, "row"))
		return exit(exitError)
	case sh.flags.Bool("dry-run") && len(changes) > 0:
		return exit(exitPending)
	}
	return nil
}

// show prints what changes, new keys in one line and others member by member.
func (in *intake) show(changes []change.Change) {
	tally := map[string]int{}
	for _, c := range changes {
		tally[c.Verb]++
		if in.sh.json {
			continue
		}
		sign := map[string]string{change.Create: in.sh.style.green("+"), change.Update: in.sh.style.yellow("~"), change.Delete: in.sh.style.red("-")}[c.Verb]
		in.sh.print("%s %s", sign, in.sh.style.bold(c.Key))
		for _, m := range c.Members {
			if c.Verb == change.Update {
				in.sh.print("    %s", m)
			}
		}
	}
	in.sh.say("%s in %s: %d new, %d changed, %d as they were, %d taken away", plural(len(in.read.Records), strings.TrimSuffix(in.kind, "s")), in.file,
		tally[change.Create], tally[change.Update], len(in.read.Records)-tally[change.Create]-tally[change.Update], tally[change.Delete])
}
