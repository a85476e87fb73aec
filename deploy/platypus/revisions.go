package main

import (
	"context"
	"errors"
	"strings"
	"time"

	"github.com/platypus-platform/platypus/store/history"
	"github.com/platypus-platform/platypus/store/history/point"
)

// revisionText is the manual section of verbs that take a revision.
const revisionText = `A POINT is the number of a commit, a tag, a time ("2026-11-21T15:04:05Z", "2h ago", "yesterday 15:00"), an index of the
store (index:1042), or head.`

// intentKeyArg accepts a key in full, below intent/, or as the file name of an export.
func (cmd *command) intentKeyArg(text string) string {
	if below, ok := strings.CutPrefix(text, string(cmd.tree.Intent())); ok {
		return below
	}
	return strings.TrimPrefix(strings.TrimPrefix(text, "/"), "intent/")
}

// parseKeyAt parses KEY@POINT; the default is the newest commit.
func (cmd *command) parseKeyAt(ctx context.Context, text string) (key string, seq uint64, err error) {
	key, at, pointed := point.Split(text)
	if !pointed {
		at = string(point.Head)
	}
	seq, err = cmd.resolveRevision(ctx, at)
	return cmd.intentKeyArg(key), seq, err
}

// resolveRevision returns the commit number of a revision.
func (cmd *command) resolveRevision(ctx context.Context, text string) (uint64, error) {
	p, err := point.Parse(text, time.Now())
	if err != nil {
		return 0, usageError{err}
	}
	log := cmd.history()
	switch p.Kind {
	case point.Seq:
		return p.Number, nil
	case point.Time:
		return log.SeqAt(ctx, p.Time)
	case point.Index:
		return log.SeqAtIndex(ctx, p.Number)
	case point.Tag:
		tag, err := log.Tagged(ctx, string(p.Tag))
		return tag.Seq, err
	}
	head, err := log.Head(ctx)
	return head.Seq, err
}

// historyNextStep returns the next step after an error of the history.
func historyNextStep(err error) string {
	switch {
	case errors.Is(err, history.ErrNoSuch):
		return "next: platypus log shows what there is, platypus tag the names that points have"
	case errors.Is(err, history.ErrCompacted):
		return "next: platypus log shows where the history begins; what is older is only in what platypus history mirror or export wrote before"
	case errors.Is(err, history.ErrNoHead):
		return "next: platypus history repair writes it again"
	case errors.Is(err, history.ErrForged):
		return "next: platypus history verify names every entry that cannot be believed; the others stay readable"
	case errors.Is(err, history.ErrRewound):
		return "next: was a snapshot of the store restored? platypus history verify looks closer"
	case errors.Is(err, history.ErrExists):
		return "next: choose another name, or take that one away first: --delete; an import goes into a tree that has no history, such as --root copy"
	case errors.Is(err, history.ErrHeld) && strings.Contains(err.Error(), "being made"):
		return "next: run the same fork or import again; platypus history repair ends an import that was killed"
	case errors.Is(err, history.ErrHeld):
		return "next: platypus hold shows who holds it and why; --force writes all the same"
	}
	return ""
}
