package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/platypus-platform/platypus/deploy/platypus/internal/gitlog"
	"github.com/platypus-platform/platypus/intent"
	"github.com/platypus-platform/platypus/store/history"
)

func (cmd *command) export(ctx context.Context, log *history.Log) error {
	to := gitlog.Target{Branch: cmd.flags.String("branch")}
	if onto := cmd.flags.String("onto"); onto != "" {
		to.Repo = &gitlog.Repo{Dir: onto}
	}
	out, done := cmd.out, func() error { return nil }
	if cmd.isDryRun() {
		out = io.Discard
	} else if len(cmd.args) == 2 {
		f, err := os.Create(cmd.args[1])
		if err != nil {
			return fmt.Errorf("export: %w", err)
		}
		defer f.Close()
		out, done = f, f.Close
	} else if isTerminal(cmd.out) {
		return usage("an export is for git, not for a terminal: platypus history export FILE, or pipe it into git fast-import")
	}
	e, err := gitlog.Export(ctx, log, out, to)
	if err == nil {
		err = done()
	}
	if err != nil {
		return err
	}
	what := "exported"
	if cmd.isDryRun() {
		what = "would export"
	}
	cmd.infof("%s: %s, branch %s%s", what, plural(e.Commits, "commit"), to.Branch, continuesAfter(e))
	if to.Repo == nil && e.Floor > 1 {
		cmd.infof("note: older commits were compacted, so commit %d is a root: for a repository that has them, export --onto REPO", e.Floor)
	}
	return cmd.reportGaps(e)
}

func continuesAfter(e gitlog.Result) string {
	if e.Onto == 0 {
		return ""
	}
	return fmt.Sprintf(", after commit %d, which git has", e.Onto)
}

// reportGaps lists the commits that git lacks. This is an error: no other copy may exist.
func (cmd *command) reportGaps(e gitlog.Result) error {
	if e.Compacted.From > 0 {
		cmd.infof("%s commits %s were compacted before git got them; commit %d has the whole tree",
			cmd.style.red("missing:"), e.Compacted, e.Floor)
	}
	var damaged []string
	for _, s := range e.Damaged {
		damaged = append(damaged, s.String())
	}
	if len(damaged) > 0 {
		cmd.infof("%s commits %s cannot be believed and were left out; next: platypus history verify",
			cmd.style.red("missing:"), strings.Join(damaged, ", "))
	}
	if e.Stale {
		cmd.infof("note: until the next checkpoint of the history, which a running recorder makes, git lacks what they changed")
	}
	if e.Compacted.From > 0 || len(damaged) > 0 {
		return exit(exitError)
	}
	return nil
}

// updateMirror exports new commits to a git repository and records in the store what the repository has.
func (cmd *command) updateMirror(ctx context.Context, log *history.Log) error {
	switch name := cmd.flags.String("name"); {
	case cmd.flags.Bool("delete"):
		if len(cmd.args) == 2 {
			name = cmd.args[1]
		}
		if err := log.RemoveMirror(ctx, name); err != nil {
			return fmt.Errorf("%w: platypus history mirror lists them", err)
		}
		cmd.infof("mirror %s is forgotten: compaction does not wait for it; the repository is as it was", name)
		return nil
	case len(cmd.args) < 2:
		return cmd.listMirrors(ctx, log)
	}
	to := gitlog.Target{Branch: cmd.flags.String("branch"), Repo: &gitlog.Repo{Dir: cmd.args[1]}}
	m, err := cmd.localMirror(to)
	if err != nil {
		return err
	}
	if cmd.isDryRun() {
		return cmd.dryRunMirror(ctx, log, to)
	}
	if err := to.Repo.Init(ctx, to.Branch); err != nil {
		return fmt.Errorf("mirror: %w", err)
	}
	var e gitlog.Result
	if err := to.Repo.Import(ctx, func(w io.Writer) (err error) {
		e, err = gitlog.Export(ctx, log, w, to)
		return err
	}); err != nil {
		return fmt.Errorf("mirror: %w", err)
	}
	tip, err := to.Repo.Tip(ctx, to.Branch)
	if err == nil && tip.Seq == 0 {
		err = errors.New("there is no commit yet; next: platypus apply FILE")
	}
	if err != nil {
		return fmt.Errorf("mirror: %w", err)
	}
	m.Seq, m.Hash = tip.Seq, tip.Hash
	if m, err = log.SetMirror(ctx, m); err != nil {
		return err
	}
	if cmd.json {
		if err := cmd.printJSON("mirror", map[string]any{"name": m.Name, "seq": m.Seq, "hash": m.Hash, "where": m.Where, "exported": e}); err != nil {
			return err
		}
	}
	cmd.infof("mirrored: %s, branch %s of %s has all up to commit %d", plural(e.Commits, "new commit"), to.Branch, to.Repo.Dir, m.Seq)
	return cmd.reportGaps(e)
}

// dryRunMirror is the dry run of updateMirror.
func (cmd *command) dryRunMirror(ctx context.Context, log *history.Log, to gitlog.Target) error {
	if _, err := os.Stat(to.Repo.Dir); errors.Is(err, os.ErrNotExist) {
		to.Repo = nil
	}
	e, err := gitlog.Export(ctx, log, io.Discard, to)
	if err != nil {
		return fmt.Errorf("mirror: %w", err)
	}
	return cmd.finishActionDryRun("mirror", plural(e.Commits, "commit"), e.Commits)
}

// localMirror returns the mirror record of a repository on this host.
func (cmd *command) localMirror(to gitlog.Target) (m history.Mirror, err error) {
	where, err := filepath.Abs(to.Repo.Dir)
	if err != nil {
		return m, fmt.Errorf("mirror: %w", err)
	}
	host, err := os.Hostname()
	if err != nil {
		host = "localhost"
	}
	repo := strings.TrimSuffix(filepath.Base(where), ".git")
	m = history.Mirror{Name: cmp.Or(cmd.flags.String("name"), host+"-"+repo), Where: host + ":" + where}
	if _, err := intent.ParseName(m.Name); err != nil {
		return m, usage("--name: %w", err)
	}
	return m, nil
}

func (cmd *command) listMirrors(ctx context.Context, log *history.Log) error {
	mirrors, err := log.Mirrors(ctx)
	if err != nil {
		return err
	}
	head, err := log.Head(ctx)
	if err != nil {
		return err
	}
	rows, all := [][]string{}, []map[string]any{}
	for _, m := range mirrors {
		behind := uint64(0)
		if m.Seq < head.Seq {
			behind = head.Seq - m.Seq
		}
		rows = append(rows, []string{m.Name, fmt.Sprint(m.Seq), fmt.Sprint(behind), cmd.localTime(m.At), printable(m.Where)})
		all = append(all, map[string]any{"name": m.Name, "seq": m.Seq, "hash": m.Hash, "behind": behind, "at": m.At.Format(time.RFC3339Nano), "where": m.Where})
	}
	if cmd.json {
		return cmd.printJSON("mirrors", map[string]any{"mirrors": all})
	}
	if len(rows) == 0 {
		cmd.infof("there is no mirror: what is compacted is gone; next: platypus history mirror intent.git")
		return nil
	}
	cmd.printTable([]string{"MIRROR", "HAS", "BEHIND", "SINCE", "WHERE"}, rows)
	return nil
}

func (cmd *command) importHistory(ctx context.Context, log *history.Log) error {
	in := cmd.in
	if len(cmd.args) == 2 && cmd.args[1] != "-" {
		f, err := os.Open(cmd.args[1])
		if err != nil {
			return fmt.Errorf("import: %w", err)
		}
		defer f.Close()
		in = f
	}
	stream, err := gitlog.Read(in)
	if err != nil {
		return fmt.Errorf("import: %w", err)
	}
	if err := cmd.noteSkipped(stream.Skipped); err != nil {
		return err
	}
	if err := log.Importable(ctx, stream.All); err != nil {
		return err
	}
	if len(stream.Commits) == 0 {
		return errors.New("import: there is no commit of intent in it, and nothing was written: export with git fast-export --first-parent BRANCH")
	}
	if cmd.isDryRun() {
		return cmd.finishActionDryRun("import", plural(len(stream.Commits), "commit"), len(stream.Commits))
	}
	head, err := gitlog.Import(ctx, log, stream)
	if err != nil {
		return err
	}
	if err := cmd.recordPlainWrites(ctx, log); err != nil {
		return err
	}
	if cmd.json {
		return cmd.printJSON("import", map[string]any{"seq": head.Seq, "hash": head.Hash, "left_out": append([]string{}, stream.Skipped...)})
	}
	cmd.infof("imported: %s; what is declared was left as it is and recorded where it differs; next: platypus log, platypus restore /@%d",
		plural(int(head.Seq), "commit"), head.Seq)
	return nil
}

// maxListed is the maximum number of names that a note lists.
const maxListed = 5

// firstNames joins the first few names.
func firstNames(names []string) string {
	text := strings.Join(names[:min(len(names), maxListed)], ", ")
	if more := len(names) - maxListed; more > 0 {
		text += fmt.Sprintf(" and %d more", more)
	}
	return text
}

// noteSkipped lists the files of an import that are not intent.
func (cmd *command) noteSkipped(paths []string) error {
	if len(paths) == 0 {
		return nil
	}
	text := firstNames(paths)
	if cmd.flags.Bool("strict") {
		return fmt.Errorf("import: %s: not a key of intent, and nothing was written: leave out --strict to import the rest", printable(text))
	}
	cmd.infof("note: left out, for they are no intent: %s", printable(text))
	return nil
}
