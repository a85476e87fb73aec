package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"os"
	"os/user"
	"slices"

	"github.com/urfave/cli/v2"

	"github.com/platypus-platform/platypus/deploy/platypus/internal/change"
	"github.com/platypus-platform/platypus/deploy/platypus/internal/world"
	"github.com/platypus-platform/platypus/store"
	"github.com/platypus-platform/platypus/store/history"
)

// Shared code of verbs that write.
func messageFlag() cli.Flag {
	return &cli.StringFlag{Name: "message", Aliases: []string{"m"}, Usage: "why, for the history"}
}

func checkIndexFlag() cli.Flag {
	return &cli.Uint64Flag{Name: "check-index", Usage: "refuse unless intent is as it was at the `INDEX` that plan printed"}
}

func forceFlag() cli.Flag {
	return boolFlag("force", "write to keys that are held: platypus hold shows them")
}

func (cmd *command) history() *history.Log { return history.Open(cmd.store, cmd.tree) }

// author returns who writes: the identity of the token or, if the store does not know it, the local user.
func (cmd *command) author(ctx context.Context) (history.Author, error) {
	accessor, name, err := cmd.store.Self(ctx)
	if err != nil {
		return history.Author{}, err
	}
	if accessor != "" {
		return history.Author{Name: cmp.Or(name, localUser()), Accessor: accessor, Proof: history.Accessor}, nil
	}
	return history.Author{Name: localUser(), Proof: history.Claimed}, nil
}

// localUser returns user@host. Behind sudo it is the person, not root.
func localUser() string {
	name := os.Getenv("SUDO_USER")
	if u, err := user.Current(); err == nil && name == "" {
		name = u.Username
	}
	host, err := os.Hostname()
	if err != nil {
		host = "localhost"
	}
	return cmp.Or(name, "somebody") + "@" + host
}

// checkIndex refuses if something was declared since the person looked.
func (cmd *command) checkIndex(now world.Snapshot) error {
	if wanted := cmd.flags.Uint64("check-index"); cmd.flags.IsSet("check-index") && wanted != now.Index {
		return fmt.Errorf("intent is at index %d, not at %d: something was declared in between and nothing was written; next: platypus plan FILE",
			now.Index, wanted)
	}
	return nil
}

func batchFlag() cli.Flag {
	return boolFlag("batch", "more changes than one transaction holds: write them in several, each all or nothing")
}

// batchSize is the number of changes in each of several transactions: removals, which count twice, may be among them,
// and the entries of the log.
const batchSize = 60

// commit writes changes through the history, in as many transactions as necessary and allowed. It fails if what was
// read has changed.
func (cmd *command) commit(ctx context.Context, changes []change.Change, r history.Request) ([]history.Commit, error) {
	var err error
	if r.Note.Author, err = cmd.author(ctx); err != nil {
		return nil, err
	}
	r.Note.Via, r.Note.Message = "cli", cmp.Or(cmd.flags.String("message"), r.Note.Message)
	r.Force, r.CheckIndex = cmd.flags.Bool("force"), cmd.flags.Uint64("check-index")
	log := cmd.history()
	if !cmd.flags.Bool("batch") || len(changes) <= batchSize {
		r.Edits, r.Expect = change.Edits(changes)
		c, err := log.Commit(ctx, r)
		if err != nil {
			return nil, cmd.explainTooLarge(err, len(changes))
		}
		return []history.Commit{c}, nil
	}
	edits, expect := change.Edits(changes)
	joined := r.Joined
	var commits []history.Commit
	for done := 0; done < len(edits); done += batchSize {
		r.Edits, r.Expect = edits[done:min(done+batchSize, len(edits))], map[string]uint64{}
		for _, e := range r.Edits {
			r.Expect[e.Key] = expect[e.Key]
		}
		if r.Joined = nil; done+batchSize >= len(edits) {
			r.Joined = joined // only the last one completes the join
		}
		c, err := log.Commit(ctx, r)
		if err != nil && done > 0 {
			return nil, fmt.Errorf("%w; %d of %d changes were written before, the rest was not: apply again to finish", err, done, len(edits))
		}
		if err != nil {
			return nil, err
		}
		r.CheckIndex = 0 // from here on this verb itself moves the index
		commits = append(commits, c)
	}
	return commits, nil
}

// explainTooLarge adds the next step to a transaction that exceeds the size limit.
func (cmd *command) explainTooLarge(err error, n int) error {
	if !errors.Is(err, store.ErrTooLarge) {
		return err
	}
	next := "change fewer keys at once"
	if slices.ContainsFunc(cmd.flags.Command.Flags, func(f cli.Flag) bool { return slices.Contains(f.Names(), "batch") }) {
		next = "split them, or give --batch to write them in several"
	}
	return fmt.Errorf("%s do not fit into one transaction, and nothing was written: %w; %s", plural(n, "change"), err, next)
}

// reportWritten says what was written, and the commits.
func (cmd *command) reportWritten(what string, commits []history.Commit) {
	first, last := commits[0], commits[len(commits)-1]
	where := fmt.Sprintf("as commit %d", last.Seq)
	if first.Seq != last.Seq {
		where = fmt.Sprintf("as commits %d to %d", first.Seq, last.Seq)
	}
	cmd.infof("written: %s %s at index %d", what, where, last.Index)
}

// addCommits adds commits to a document.
func addCommits(document map[string]any, commits []history.Commit) {
	if len(commits) == 0 {
		return
	}
	last := commits[len(commits)-1]
	document["seq"], document["index"], document["message"], document["author"] = last.Seq, last.Index, last.Note.Message, last.Note.Author
	seqs := []uint64{}
	for _, c := range commits {
		seqs = append(seqs, c.Seq)
	}
	document["seqs"] = seqs
}
