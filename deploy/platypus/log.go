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
		name: "log", usage: "show what was declared, when and by whom, newest first", args: "[KEY|PREFIX/]", min: 0, max: 1,
		text: `Lists the commits of the history of intent: all of them, those that touched one key, or those below a prefix, which
ends in "/". An author in plain letters is vouched for by the store; "(claimed)" is what the writer said of themselves;
"observed" commits are plain writes that nobody announced: at least one of them, in the time that is given.
` + pointText,
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

func showLog(ctx context.Context, sh *shell) error {
	query, err := sh.query(ctx)
	if err != nil {
		return err
	}
	limit, more := sh.flags.Int("number"), false
	commits := []history.Commit{}
	for c, err := range sh.history().Commits(ctx, query) {
		if err != nil {
			return err
		}
		if more = limit > 0 && len(commits) == limit; more {
			break
		}
		commits = append(commits, c)
	}
	if len(commits) == 0 && query.Key != "" {
		if err := sh.nothingLogged(ctx, query); err != nil || !sh.json {
			return err
		}
	}
	if sh.json {
		all := make([]map[string]any, 0, len(commits))
		for _, c := range commits {
			all = append(all, document(c))
		}
		return sh.printJSON("log", map[string]any{"commits": all, "more": more})
	}
	if len(commits) == 0 {
		return sh.emptyLog(ctx)
	}
	tags := sh.tagsBySeq(ctx)
	rows := make([][]string, 0, len(commits))
	for _, c := range commits {
		rows = append(rows, []string{fmt.Sprint(c.Seq), sh.stamp(c.At), sh.who(c), sh.what(c, query), sh.style.yellow(strings.Join(tags[c.Seq], " ")), sh.why(c)})
	}
	sh.printTable([]string{"SEQ", "TIME", "AUTHOR", "WHAT", "TAG", "WHY"}, rows)
	if more {
		sh.say("there is more: add -n 0")
		return nil
	}
	floor, at, err := sh.history().Floor(ctx)
	if err == nil && floor > 1 {
		sh.say("the history begins with commit %d of %s: what is older was compacted", floor, sh.stamp(at))
	}
	return err
}

// emptyLog says that no commit is to be shown.
func (sh *shell) emptyLog(ctx context.Context) error {
	head, err := sh.history().Head(ctx)
	switch {
	case err != nil:
		return err
	case head.Seq > 0:
		sh.say("no commit came in that time; the newest is %d; next: platypus log", head.Seq)
	default:
		sh.say("nothing was recorded of this tree; next: platypus apply FILE")
	}
	return nil
}

// nothingLogged says why no commit touched a key: it is none, or it stands since before the history begins.
func (sh *shell) nothingLogged(ctx context.Context, q history.Query) error {
	if err := sh.mustKnow(ctx, q.Key); err != nil {
		return err
	}
	floor, at, err := sh.history().Floor(ctx)
	switch {
	case err != nil:
		return err
	case q.From > 0 || q.To > 0:
		sh.say("no commit changed %s in that time; next: platypus log %s", q.Key, q.Key)
	case floor > 1:
		sh.say("%s stands since before commit %d of %s: what is older was compacted", q.Key, floor, sh.stamp(at))
	default:
		sh.say("no commit changed %s yet: it was written past this program; next: platypus doctor", q.Key)
	}
	return nil
}

// query is what is asked for on the command line.
func (sh *shell) query(ctx context.Context) (q history.Query, err error) {
	if len(sh.args) == 1 {
		if err := notAPoint(sh.args[0]); err != nil {
			return q, err
		}
		q.Key = sh.key(sh.args[0])
	}
	if since := sh.flags.String("since"); since != "" {
		if q.From, err = sh.seq(ctx, since); errors.Is(err, history.ErrCompacted) {
			err = nil // all that is kept came after it
		}
		q.From++
	}
	if until := sh.flags.String("until"); until != "" && err == nil {
		if q.To, err = sh.seq(ctx, until); err == nil && q.To == 0 {
			err = fmt.Errorf("nothing was recorded up to %s", until)
		}
	}
	return q, err
}

// tagsBySeq are the names of commits. A list without them is still a list.
func (sh *shell) tagsBySeq(ctx context.Context) map[uint64][]string {
	names := map[uint64][]string{}
	tags, err := sh.history().Tags(ctx)
	if err != nil {
		sh.say("note: no tags are shown: %v", err)
	}
	for _, t := range tags {
		names[t.Seq] = append(names[t.Seq], t.Name)
	}
	return names
}

// stamp is a time for a table.
func (sh *shell) stamp(t time.Time) string {
	if t.IsZero() {
		return ""
	}
	return t.Local().Format(time.DateTime)
}

// tame keeps what others wrote from steering this person's terminal.
func tame(text string) string {
	return strings.Map(func(r rune) rune {
		if unicode.IsControl(r) || unicode.Is(unicode.Cf, r) { // Cf: what turns the direction of text around
			return ' '
		}
		return r
	}, text)
}

// who is the author in few words.
func (sh *shell) who(c history.Commit) string {
	a := c.Note.Author
	switch {
	case c.Fault != nil:
		return ""
	case a.Proof == history.Accessor:
		return tame(a.Name) + sh.style.dim(fmt.Sprintf(" (%.8s)", a.Accessor))
	case a.Proof == history.Claimed:
		return tame(a.Name) + sh.style.dim(" (claimed)")
	}
	return sh.style.dim("unknown")
}

// what is what a commit did, in few words.
func (sh *shell) what(c history.Commit, query history.Query) string {
	if c.Fault != nil {
		return sh.style.red("cannot be believed")
	}
	verb := string(c.Kind) + " "
	if c.Kind == history.Set {
		verb = ""
	}
	switch n := len(c.Changes); {
	case n == 0:
		return strings.TrimSpace(verb)
	case n == 1 && c.Changes[0].Op == history.Delete:
		return verb + "remove " + tame(c.Changes[0].Key)
	case n == 1:
		return verb + tame(c.Changes[0].Key)
	default:
		first := c.Changes[0].Key
		for _, x := range c.Changes {
			if covers(query.Key, x.Key) {
				first = x.Key
				break
			}
		}
		return verb + fmt.Sprintf("%s and %s", tame(first), plural(n-1, "key"))
	}
}

// why is the message; of what was observed it is what is known of when it happened.
func (sh *shell) why(c history.Commit) string {
	if c.Fault != nil {
		return sh.style.red(c.Fault.Error())
	}
	text, _, _ := strings.Cut(c.Note.Message, "\n")
	if c.Note.Reverts > 0 {
		text = fmt.Sprintf("%s (takes back %d)", text, c.Note.Reverts)
	}
	if text == "" && len(c.Note.Parents) > 0 {
		text = fmt.Sprintf("from commit %d of %s", c.Note.Parents[0].Seq, c.Note.Parents[0].Root)
	}
	if c.Kind == history.Observed && len(c.Changes) > 0 && c.Changes[0].Seen != nil {
		text = seen(*c.Changes[0].Seen)
	}
	return strings.TrimSpace(tame(text))
}

// seen words what is known of a plain write.
func seen(i history.Interval) string {
	if i.Since.IsZero() || i.After == 0 {
		return "written before " + i.Until.Local().Format(time.DateTime)
	}
	return fmt.Sprintf("at least one write between %s and %s", i.Since.Local().Format(time.DateTime), i.Until.Local().Format(time.TimeOnly))
}

// document is a commit for programs.
func document(c history.Commit) map[string]any {
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

// showChange prints a change with what differs in it.
func (sh *shell) showChange(c change.Change) {
	sign := map[string]string{change.Create: sh.style.green("+"), change.Update: sh.style.yellow("~"), change.Delete: sh.style.red("-")}[c.Verb]
	sh.print("%s %s", sign, sh.style.bold(tame(c.Key)))
	for _, m := range c.Members {
		sh.print("    %s", m)
	}
	if len(c.Members) == 0 {
		sh.print("    %s", sh.style.dim("(only its layout)"))
	}
}
