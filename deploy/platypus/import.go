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
		name: "import", usage: "declare regions or machines from a sheet", args: "regions|machines FILE", minArgs: 2, maxArgs: 2,
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

// importJob is one running import.
type importJob struct {
	cmd      *command
	kind     string // regions or machines
	file     string
	data     []byte
	snapshot world.Snapshot
	read     inventory.Result
}

func importSheet(ctx context.Context, cmd *command) error {
	in := &importJob{cmd: cmd, kind: cmd.args[0], file: cmd.args[1]}
	if in.kind != "regions" && in.kind != "machines" {
		return usage("import takes regions or machines, not %q: platypus import machines FILE", in.kind)
	}
	var err error
	if in.data, err = in.readFile(); err != nil {
		return err
	}
	if in.snapshot, err = world.ReadIntent(ctx, cmd.store, cmd.tree); err != nil {
		return err
	}
	if in.read, err = in.parse(); err != nil {
		return err
	}
	edits := in.edits()
	if cmd.flags.Bool("prune") {
		gone, err := in.removals(ctx)
		if err != nil {
			return err
		}
		edits = append(edits, gone...)
	}
	in.printProblems()
	return in.write(ctx, change.Changes(in.snapshot, edits))
}

func (in *importJob) readFile() ([]byte, error) {
	if in.file == "-" {
		return io.ReadAll(in.cmd.in)
	}
	data, err := os.ReadFile(in.file)
	if err != nil {
		return nil, fmt.Errorf("read %s: %w", in.kind, err)
	}
	return data, nil
}

// parse detects the format of the file and reads it.
func (in *importJob) parse() (read inventory.Result, err error) {
	trimmed := bytes.TrimSpace(in.data)
	switch {
	case len(trimmed) > 0 && (trimmed[0] == '{' || trimmed[0] == '['):
		return in.parseIntent()
	case in.kind == "regions":
		read, err = inventory.ReadRegions(in.data)
	default:
		read, err = inventory.ReadMachines(in.data, in.declaredNames("regions/"))
	}
	if err != nil {
		err = fmt.Errorf("%s:%w", in.file, err)
	}
	return read, err
}

// parseIntent reads intent as apply does, without keys of other kinds.
func (in *importJob) parseIntent() (read inventory.Result, err error) {
	reader := intentfile.Reader{Tree: in.cmd.tree, Stdin: bytes.NewReader(in.data)}
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
			in.cmd.infof("note: %s is left out: this imports %s", e.Key, in.kind)
		case e.Delete:
			in.cmd.infof("note: %s is left out: an import removes nothing by null; platypus apply does", e.Key)
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

// declaredNames lists the declared keys below a key of intent, without that key.
func (in *importJob) declaredNames(below string) (names []string) {
	for _, p := range in.snapshot.Pairs {
		if name, ok := strings.CutPrefix(p.Key, string(in.snapshot.Tree.Intent())+below); ok {
			names = append(names, name)
		}
	}
	return names
}

// printProblems prints the problems with their positions.
func (in *importJob) printProblems() {
	s := style{colour: useColour(in.cmd.errOut)}
	for _, p := range in.read.Problems {
		level := s.red("error")
		if p.Warning {
			level = s.yellow("warning")
		}
		in.cmd.infof("%s:%d:%d: %s: %s", in.file, p.Line, p.Col, level, p.Text)
	}
}

// write writes the changes in as many transactions as necessary, and reports the result.
func (in *importJob) write(ctx context.Context, changes []change.Change) error {
	cmd := in.cmd
	in.printChanges(changes)
	var commits []history.Commit
	if cmd.flags.Bool("dry-run") {
		cmd.infof("nothing was written: --dry-run")
	} else if len(changes) > 0 {
		if err := cmd.confirmChanges(changes); err != nil {
			return err
		}
		for done := 0; done < len(changes); done += batchSize {
			c, err := cmd.commit(ctx, changes[done:min(done+batchSize, len(changes))], history.Request{})
			if err != nil {
				return fmt.Errorf("%w; %d of %d changes were written: import again to finish", err, done, len(changes))
			}
			commits = append(commits, c...)
		}
		cmd.reportWritten(plural(len(changes), "change"), commits)
	}
	if cmd.json {
		document := map[string]any{"kind": in.kind, "changes": changes, "problems": in.read.Problems, "rows": len(in.read.Records)}
		addCommits(document, commits)
		if err := cmd.printJSON("import", document); err != nil {
			return err
		}
	}
	switch {
	case in.read.Errors > 0:
		cmd.infof("%s left out, for the errors above; next: mend them and import again", plural(in.read.Errors, "row"))
		return exit(exitError)
	case cmd.flags.Bool("dry-run") && len(changes) > 0:
		return exit(exitPending)
	}
	return nil
}

// printChanges prints new keys in one line each and others member by member.
func (in *importJob) printChanges(changes []change.Change) {
	tally := map[string]int{}
	for _, c := range changes {
		tally[c.Verb]++
		if in.cmd.json {
			continue
		}
		sign := map[string]string{change.Create: in.cmd.style.green("+"), change.Update: in.cmd.style.yellow("~"), change.Delete: in.cmd.style.red("-")}[c.Verb]
		in.cmd.printf("%s %s", sign, in.cmd.style.bold(c.Key))
		for _, m := range c.Members {
			if c.Verb == change.Update {
				in.cmd.printf("    %s", m)
			}
		}
	}
	in.cmd.infof("%s in %s: %d new, %d changed, %d as they were, %d taken away", plural(len(in.read.Records), strings.TrimSuffix(in.kind, "s")), in.file,
		tally[change.Create], tally[change.Update], len(in.read.Records)-tally[change.Create]-tally[change.Update], tally[change.Delete])
}
