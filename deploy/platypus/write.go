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

// What verbs that write have in common.
func messageFlag() cli.Flag {
	return &cli.StringFlag{Name: "message", Aliases: []string{"m"}, Usage: "why, for the history"}
}

func checkIndexFlag() cli.Flag {
	return &cli.Uint64Flag{Name: "check-index", Usage: "refuse unless intent is as it was at the `INDEX` that plan printed"}
}

func forceFlag() cli.Flag {
	return boolFlag("force", "write to keys that are held: platypus hold shows them")
}

// history is the history of the tree.
func (sh *shell) history() *history.Log { return history.Open(sh.store, sh.tree) }

// author is who writes: whoever the store takes the token for or, where it does not know, who this person says they are.
func (sh *shell) author(ctx context.Context) (history.Author, error) {
	accessor, name, err := sh.store.Self(ctx)
	if err != nil {
		return history.Author{}, err
	}
	if accessor != "" {
		return history.Author{Name: cmp.Or(name, claimed()), Accessor: accessor, Proof: history.Accessor}, nil
	}
	return history.Author{Name: claimed(), Proof: history.Claimed}, nil
}

// claimed is user@host. Behind sudo it is the person, not root.
func claimed() string {
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

// checkIndex refuses when something was declared since the person looked.
func (sh *shell) checkIndex(now world.Snapshot) error {
	if wanted := sh.flags.Uint64("check-index"); sh.flags.IsSet("check-index") && wanted != now.Index {
		return fmt.Errorf("intent is at index %d, not at %d: something was declared in between and nothing was written; next: platypus plan FILE",
			now.Index, wanted)
	}
	return nil
}

func batchFlag() cli.Flag {
	return boolFlag("batch", "more changes than one transaction holds: write them in several, each all or nothing")
}

// batch is how many changes go into each transaction when one does not hold them all: removals, which count twice, may
// be among them, and the entries of the log.
const batch = 60

// commit declares changes through the history, in as many transactions as it takes and is allowed. What was read before
// must still be so.
func (sh *shell) commit(ctx context.Context, changes []change.Change, r history.Request) ([]history.Commit, error) {
	var err error
	if r.Note.Author, err = sh.author(ctx); err != nil {
		return nil, err
	}
	r.Note.Via, r.Note.Message = "cli", cmp.Or(sh.flags.String("message"), r.Note.Message)
	r.Force, r.CheckIndex = sh.flags.Bool("force"), sh.flags.Uint64("check-index")
	log := sh.history()
	if !sh.flags.Bool("batch") || len(changes) <= batch {
		r.Edits, r.Expect = change.Edits(changes)
		c, err := log.Commit(ctx, r)
		if err != nil {
			return nil, sh.tooLarge(err, len(changes))
		}
		return []history.Commit{c}, nil
	}
	edits, expect := change.Edits(changes)
	joined := r.Joined
	var commits []history.Commit
	for done := 0; done < len(edits); done += batch {
		r.Edits, r.Expect = edits[done:min(done+batch, len(edits))], map[string]uint64{}
		for _, e := range r.Edits {
			r.Expect[e.Key] = expect[e.Key]
		}
		if r.Joined = nil; done+batch >= len(edits) {
			r.Joined = joined // only the last one makes it whole
		}
		c, err := log.Commit(ctx, r)
		if err != nil && done > 0 {
			return nil, fmt.Errorf("%w; %d of %d changes were written before, the rest was not: apply again to finish", err, done, len(edits))
		}
		if err != nil {
			return nil, err
		}
		r.CheckIndex = 0 // from here on it is this very verb that moves it
		commits = append(commits, c)
	}
	return commits, nil
}

// tooLarge adds what to do about a transaction that is refused for its size.
func (sh *shell) tooLarge(err error, n int) error {
	if !errors.Is(err, store.ErrTooLarge) {
		return err
	}
	next := "change fewer keys at once"
	if slices.ContainsFunc(sh.flags.Command.Flags, func(f cli.Flag) bool { return slices.Contains(f.Names(), "batch") }) {
		next = "split them, or give --batch to write them in several"
	}
	return fmt.Errorf("%s do not fit into one transaction, and nothing was written: %w; %s", plural(n, "change"), err, next)
}

// wrote says what was written and where that stands in the history.
func (sh *shell) wrote(what string, commits []history.Commit) {
	first, last := commits[0], commits[len(commits)-1]
	where := fmt.Sprintf("as commit %d", last.Seq)
	if first.Seq != last.Seq {
		where = fmt.Sprintf("as commits %d to %d", first.Seq, last.Seq)
	}
	sh.say("written: %s %s at index %d", what, where, last.Index)
}

// tell adds commits to a document.
func tell(document map[string]any, commits []history.Commit) {
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
