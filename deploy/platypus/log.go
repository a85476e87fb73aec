package main

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"
	"unicode"

	"github.com/urfave/cli/v2"

	"github.com/platypus-platform/platypus/deploy/platypus/internal/change"
	"github.com/platypus-platform/platypus/store/history"
)

func logVerb() verb {
	return verb{
		name: "log", usage: "show what was declared, when and by whom, newest first", args: "[KEY|PREFIX/]", minArgs: 0, maxArgs: 1,
		text: `Lists the commits of the history of intent: all of them, those that touched one key, or those below a prefix, which
ends in "/". An author in plain letters is vouched for by the store; "(claimed)" is what the writer said of themselves;
"observed" commits are plain writes that nobody announced: at least one of them, in the time that is given.
` + revisionText,
		examples: []string{"platypus log", "platypus log clusters/slug/ --since yesterday", "platypus log -o json clusters/slug/production/config"},
		flags: []cli.Flag{
			&cli.StringFlag{Name: "since", Usage: "only what came after this `POINT`"},
			&cli.StringFlag{Name: "until", Usage: "only what came up to this `POINT`"},
			&cli.IntFlag{Name: "number", Aliases: []string{"n"}, Usage: "at most so `MANY`; 0 for all", Value: 50},
			outputFlag(),
		},
		run: showLog,
	}
}

func showLog(ctx context.Context, cmd *command) error {
	query, err := cmd.logQuery(ctx)
	if err != nil {
		return err
	}
	limit, more := cmd.flags.Int("number"), false
	commits := []history.Commit{}
	for c, err := range cmd.history().Commits(ctx, query) {
		if err != nil {
			return err
		}
		if more = limit > 0 && len(commits) == limit; more {
			break
		}
		commits = append(commits, c)
	}
	if len(commits) == 0 && query.Key != "" {
		if err := cmd.reportNoCommits(ctx, query); err != nil || !cmd.json {
			return err
		}
	}
	if cmd.json {
		all := make([]map[string]any, 0, len(commits))
		for _, c := range commits {
			all = append(all, commitJSON(c))
		}
		return cmd.printJSON("log", map[string]any{"commits": all, "more": more})
	}
	if len(commits) == 0 {
		return cmd.reportEmptyLog(ctx)
	}
	tags := cmd.tagsBySeq(ctx)
	rows := make([][]string, 0, len(commits))
	for _, c := range commits {
		rows = append(rows, []string{fmt.Sprint(c.Seq), cmd.localTime(c.At), cmd.authorText(c), cmd.changeText(c, query), cmd.style.yellow(strings.Join(tags[c.Seq], " ")), cmd.messageText(c)})
	}
	cmd.printTable([]string{"SEQ", "TIME", "AUTHOR", "WHAT", "TAG", "WHY"}, rows)
	if more {
		cmd.infof("there is more: add -n 0")
		return nil
	}
	floor, at, err := cmd.history().Floor(ctx)
	if err == nil && floor > 1 {
		cmd.infof("the history begins with commit %d of %s: what is older was compacted", floor, cmd.localTime(at))
	}
	return err
}

// reportEmptyLog says why there is no commit to print.
func (cmd *command) reportEmptyLog(ctx context.Context) error {
	head, err := cmd.history().Head(ctx)
	switch {
	case err != nil:
		return err
	case head.Seq > 0:
		cmd.infof("no commit came in that time; the newest is %d; next: platypus log", head.Seq)
	default:
		cmd.infof("nothing was recorded of this tree; next: platypus apply FILE")
	}
	return nil
}

// reportNoCommits says why no commit touched a key: it is unknown, or older than the retained history.
func (cmd *command) reportNoCommits(ctx context.Context, q history.Query) error {
	if err := cmd.checkKnown(ctx, q.Key); err != nil {
		return err
	}
	floor, at, err := cmd.history().Floor(ctx)
	switch {
	case err != nil:
		return err
	case q.From > 0 || q.To > 0:
		cmd.infof("no commit changed %s in that time; next: platypus log %s", q.Key, q.Key)
	case floor > 1:
		cmd.infof("%s stands since before commit %d of %s: what is older was compacted", q.Key, floor, cmd.localTime(at))
	default:
		cmd.infof("no commit changed %s yet: it was written past this program; next: platypus doctor", q.Key)
	}
	return nil
}

// logQuery builds the query from the command line.
func (cmd *command) logQuery(ctx context.Context) (q history.Query, err error) {
	if len(cmd.args) == 1 {
		if err := notAPoint(cmd.args[0]); err != nil {
			return q, err
		}
		q.Key = cmd.intentKeyArg(cmd.args[0])
	}
	if since := cmd.flags.String("since"); since != "" {
		if q.From, err = cmd.resolveRevision(ctx, since); errors.Is(err, history.ErrCompacted) {
			err = nil // the whole retained history is later
		}
		q.From++
	}
	if until := cmd.flags.String("until"); until != "" && err == nil {
		if q.To, err = cmd.resolveRevision(ctx, until); err == nil && q.To == 0 {
			err = fmt.Errorf("nothing was recorded up to %s", until)
		}
	}
	return q, err
}

// tagsBySeq returns tags by commit. The list works without them.
func (cmd *command) tagsBySeq(ctx context.Context) map[uint64][]string {
	names := map[uint64][]string{}
	tags, err := cmd.history().Tags(ctx)
	if err != nil {
		cmd.infof("note: no tags are shown: %v", err)
	}
	for _, t := range tags {
		names[t.Seq] = append(names[t.Seq], t.Name)
	}
	return names
}

// localTime formats a time for a table.
func (cmd *command) localTime(t time.Time) string {
	if t.IsZero() {
		return ""
	}
	return t.Local().Format(time.DateTime)
}

// printable escapes control characters, so that text by others cannot affect the terminal.
func printable(text string) string {
	return strings.Map(func(r rune) rune {
		if unicode.IsControl(r) || unicode.Is(unicode.Cf, r) { // Cf: what turns the direction of text around
			return ' '
		}
		return r
	}, text)
}

// authorText formats the author in short form.
func (cmd *command) authorText(c history.Commit) string {
	a := c.Note.Author
	switch {
	case c.Fault != nil:
		return ""
	case a.Proof == history.Accessor:
		return printable(a.Name) + cmd.style.dim(fmt.Sprintf(" (%.8s)", a.Accessor))
	case a.Proof == history.Claimed:
		return printable(a.Name) + cmd.style.dim(" (claimed)")
	}
	return cmd.style.dim("unknown")
}

// changeText describes in short form what a commit changed.
func (cmd *command) changeText(c history.Commit, query history.Query) string {
	if c.Fault != nil {
		return cmd.style.red("cannot be believed")
	}
	verb := string(c.Kind) + " "
	if c.Kind == history.Set {
		verb = ""
	}
	switch n := len(c.Changes); {
	case n == 0:
		return strings.TrimSpace(verb)
	case n == 1 && c.Changes[0].Op == history.Delete:
		return verb + "remove " + printable(c.Changes[0].Key)
	case n == 1:
		return verb + printable(c.Changes[0].Key)
	default:
		first := c.Changes[0].Key
		for _, x := range c.Changes {
			if covers(query.Key, x.Key) {
				first = x.Key
				break
			}
		}
		return verb + fmt.Sprintf("%s and %s", printable(first), plural(n-1, "key"))
	}
}

// messageText returns the message; for an observed write, the interval in which it happened.
func (cmd *command) messageText(c history.Commit) string {
	if c.Fault != nil {
		return cmd.style.red(c.Fault.Error())
	}
	text, _, _ := strings.Cut(c.Note.Message, "\n")
	if c.Note.Reverts > 0 {
		text = fmt.Sprintf("%s (takes back %d)", text, c.Note.Reverts)
	}
	if text == "" && len(c.Note.Parents) > 0 {
		text = fmt.Sprintf("from commit %d of %s", c.Note.Parents[0].Seq, c.Note.Parents[0].Root)
	}
	if c.Kind == history.Observed && len(c.Changes) > 0 && c.Changes[0].Seen != nil {
		text = intervalText(*c.Changes[0].Seen)
	}
	return strings.TrimSpace(printable(text))
}

// intervalText formats what is known about the time of a plain write.
func intervalText(i history.Interval) string {
	if i.Since.IsZero() || i.After == 0 {
		return "written before " + i.Until.Local().Format(time.DateTime)
	}
	return fmt.Sprintf("at least one write between %s and %s", i.Since.Local().Format(time.DateTime), i.Until.Local().Format(time.TimeOnly))
}

// commitJSON returns a commit for programs.
func commitJSON(c history.Commit) map[string]any {
	members := map[string]any{"seq": c.Seq, "index": c.Index, "id": c.ID, "at": c.At, "kind": c.Kind, "author": c.Note.Author, "via": c.Note.Via,
		"message": c.Note.Message, "hash": c.Hash, "changes": c.Changes}
	if c.Note.Reverts > 0 {
		members["reverts"] = c.Note.Reverts
	}
	if len(c.Note.Parents) > 0 {
		members["parents"] = c.Note.Parents
	}
	if c.Fault != nil {
		return map[string]any{"seq": c.Seq, "index": c.Index, "fault": c.Fault.Error()}
	}
	return members
}

// printChange prints a change and its differing members.
func (cmd *command) printChange(c change.Change) {
	sign := map[string]string{change.Create: cmd.style.green("+"), change.Update: cmd.style.yellow("~"), change.Delete: cmd.style.red("-")}[c.Verb]
	cmd.printf("%s %s", sign, cmd.style.bold(printable(c.Key)))
	for _, m := range c.Members {
		cmd.printf("    %s", m)
	}
	if len(c.Members) == 0 {
		cmd.printf("    %s", cmd.style.dim("(only its layout)"))
	}
}
