package gitlog

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strconv"
	"strings"
	"time"

	"github.com/platypus-platform/platypus/store/history"
	"github.com/platypus-platform/platypus/store/history/gitstream"
)

// Target says where an export goes.
type Target struct {
	Branch string
	Repo   *Repo // unless nil, the export continues from what this repository has
}

// Span is a range of commits, both ends included.
type Span struct {
	From uint64 `json:"from"`
	To   uint64 `json:"to"`
}

// String is FROM-TO, or one number.
func (s Span) String() string {
	if s.From == s.To {
		return strconv.FormatUint(s.From, 10)
	}
	return fmt.Sprintf("%d-%d", s.From, s.To)
}

// Exported is what an export wrote.
type Exported struct {
	Commits   int    `json:"commits"`
	Onto      uint64 `json:"onto"`      // the newest commit that git had; 0: none
	Head      uint64 `json:"head"`      // the newest commit that git has when it has read all of it
	Floor     uint64 `json:"floor"`     // the first commit of the history; 0 or 1: all of it is there
	Damaged   []Span `json:"damaged"`   // commits that cannot be believed and were left out
	Compacted Span   `json:"compacted"` // commits that were deleted before git got them; From is 0 when there are none
	Stale     bool   `json:"stale"`     // the newest tree lacks what the damaged commits changed
}

// Export writes the history and its tags as git fast-import reads them: all of it, or what comes after the newest commit
// that the repository has, in time proportional to that. A commit that cannot be believed is left out and named in the
// trailers of the next one; its changes are missing from git until the next checkpoint of the history.
func Export(ctx context.Context, log *history.Log, w io.Writer, to Target) (Exported, error) {
	e := export{log: log, out: gitstream.NewWriter(w, to.Branch)}
	var tip Tip
	floor, _, err := log.Floor(ctx)
	if err != nil {
		return e.done, err
	}
	if to.Repo != nil {
		if tip, err = to.Repo.tip(ctx, to.Branch); err != nil {
			return e.done, err
		}
	}
	if tip.commit != "" {
		if err := continues(ctx, log, tip); err != nil {
			return e.done, fmt.Errorf("branch %s of %s: %w", to.Branch, to.Repo.Dir, err)
		}
		e.out.Onto(tip.commit)
	}
	e.done.Onto, e.done.Head, e.done.Floor, e.done.Stale = tip.Seq, tip.Seq, floor, tip.stale != ""
	head, err := log.Head(ctx)
	if err != nil {
		return e.done, err
	}
	e.stale, e.rewrite, e.newest = tip.stale, tip.commit == "", head.Seq
	if tip.commit != "" && tip.Seq+1 < floor {
		e.done.Compacted, e.rewrite = Span{tip.Seq + 1, floor - 1}, true
		e.gap = []Span{e.done.Compacted}
	}
	for c, err := range log.Commits(ctx, history.Query{From: tip.Seq + 1, Oldest: true, Values: true}) {
		if err == nil {
			err = e.commit(ctx, c)
		}
		if err != nil {
			return e.done, fmt.Errorf("export: %w", err)
		}
	}
	if err := e.tags(ctx, to, tip); err != nil {
		return e.done, fmt.Errorf("export: %w", err)
	}
	return e.done, e.out.Close()
}

// continues reports whether the newest commit in git is one of this history.
func continues(ctx context.Context, log *history.Log, tip Tip) error {
	err := log.Confirm(ctx, tip.Head)
	if !errors.Is(err, history.ErrRewound) {
		return err
	}
	// The entry may have been damaged since: then the one after it vouches for what git has.
	for c, err := range log.Commits(ctx, history.Query{From: tip.Seq + 1, To: tip.Seq + 1}) {
		if err == nil && c.Fault == nil && c.Prev == tip.Hash {
			return nil
		}
	}
	return fmt.Errorf("it is not an earlier state of this history: %w", err)
}

// export is one export on its way.
type export struct {
	log     *history.Log
	out     *gitstream.Writer
	done    Exported
	gap     []Span // commits left out since the last one that was written
	stale   string // the commits whose changes are missing from the tree in git, as they stand in the trailer; "" when none
	rewrite bool   // the next commit must be written with its whole tree
	newest  uint64
}

// recheck is after how many commits it is asked again whether the whole tree is known: each time reads up to a checkpoint.
const recheck = 16

// commit writes one commit, or takes note that it cannot.
func (e *export) commit(ctx context.Context, c history.Commit) error {
	if c.Fault != nil {
		e.leaveOut(c.Seq)
		return nil
	}
	g, err := fromHistory(c)
	if err != nil {
		return fmt.Errorf("commit %d: %w", c.Seq, err)
	}
	if e.rewrite || e.stale != "" && (c.Seq%recheck == 0 || c.Seq == e.newest) {
		files, known, err := e.all(ctx, c.Seq)
		switch {
		case err != nil:
			return fmt.Errorf("commit %d: %w", c.Seq, err)
		case known:
			g.Files, g.Whole, e.stale = files, true, ""
		case e.stale == "":
			e.stale = "unknown"
		}
		e.rewrite = false
	}
	var gaps []string
	for _, s := range e.gap {
		gaps = append(gaps, s.String())
	}
	if e.gap = nil; len(gaps) > 0 {
		g.Trailers = append(g.Trailers, gitstream.Trailer{Key: trailerGap, Value: strings.Join(gaps, ", ")})
	}
	if e.stale != "" {
		g.Trailers = append(g.Trailers, gitstream.Trailer{Key: trailerStale, Value: e.stale})
	}
	e.out.Commit(g)
	e.done.Commits, e.done.Head, e.done.Stale = e.done.Commits+1, c.Seq, e.stale != ""
	return nil
}

// leaveOut takes note of a commit that cannot be believed.
func (e *export) leaveOut(seq uint64) {
	add := func(spans []Span) []Span {
		if n := len(spans); n > 0 && spans[n-1].To+1 == seq {
			spans[n-1].To = seq
			return spans
		}
		return append(spans, Span{seq, seq})
	}
	e.gap, e.done.Damaged = add(e.gap), add(e.done.Damaged)
	e.stale = strings.TrimPrefix(e.stale+", "+strconv.FormatUint(seq, 10), ", ")
}

// all is the whole tree as files. It is not known when an entry that it rests on cannot be believed.
func (e *export) all(ctx context.Context, seq uint64) (files []gitstream.File, known bool, err error) {
	s, err := e.log.At(ctx, seq)
	if errors.Is(err, history.ErrForged) {
		return nil, false, nil
	}
	if err != nil || len(s.Faults) > 0 {
		return nil, false, err
	}
	for v := range s.All("") {
		files = append(files, gitstream.File{Path: v.Key + ending, Data: v.Data})
	}
	return files, true, nil
}

// tags writes the tags that git does not have: with those of commits that git had before, by their hash there.
func (e *export) tags(ctx context.Context, to Target, tip Tip) error {
	tags, err := e.log.Tags(ctx)
	if err != nil || len(tags) == 0 {
		return err
	}
	have := map[string]uint64{}
	if tip.commit != "" {
		if have, err = to.Repo.tags(ctx); err != nil {
			return err
		}
	}
	for _, t := range tags {
		switch {
		case have[t.Name] == t.Seq || t.Seq > e.done.Head || e.damaged(t.Seq):
		case t.Seq > tip.Seq && t.Seq >= e.done.Floor:
			e.out.Tag(gitstream.Tag{Name: t.Name, Mark: t.Seq})
		case tip.commit != "":
			hash, err := to.Repo.find(ctx, tip.commit, t.Seq)
			if err != nil {
				return err
			}
			if hash != "" {
				e.out.Tag(gitstream.Tag{Name: t.Name, Object: hash})
			}
		}
	}
	return nil
}

func (e *export) damaged(seq uint64) bool {
	for _, s := range e.done.Damaged {
		if s.From <= seq && seq <= s.To {
			return true
		}
	}
	return false
}

func fromHistory(c history.Commit) (gitstream.Commit, error) {
	note := c.Note
	note.Message = ""
	said, err := json.Marshal(note)
	if err != nil {
		return gitstream.Commit{}, err
	}
	g := gitstream.Commit{Mark: c.Seq, Author: person(c.Note.Author), When: c.At, Message: cmp.Or(c.Note.Message, title(c)), Trailers: []gitstream.Trailer{
		{Key: trailerSeq, Value: strconv.FormatUint(c.Seq, 10)}, {Key: trailerID, Value: c.ID},
		{Key: trailerAt, Value: c.At.Format(time.RFC3339Nano)}, {Key: trailerKind, Value: string(c.Kind)},
		{Key: trailerIndex, Value: strconv.FormatUint(c.Index, 10)}, {Key: trailerHash, Value: c.Hash.String()},
		{Key: trailerNote, Value: string(said)},
	}}
	if c.Note.Message == "" {
		g.Trailers = append(g.Trailers, gitstream.Trailer{Key: trailerUntitled, Value: "true"})
	}
	for _, x := range c.Changes {
		g.Files = append(g.Files, gitstream.File{Path: x.Key + ending, Data: x.Value, Delete: x.Op == history.Delete})
		if x.Seen == nil && !x.Recreated {
			continue
		}
		said, err := json.Marshal(change{x.Key, x.Base, x.Index, x.Recreated, x.Seen})
		if err != nil {
			return g, err
		}
		g.Trailers = append(g.Trailers, gitstream.Trailer{Key: trailerChange, Value: string(said)})
	}
	return g, nil
}

// title is a message for a commit that has none: without one git would show the first trailer.
func title(c history.Commit) string {
	switch n := len(c.Changes); n {
	case 0:
		return string(c.Kind)
	case 1:
		return fmt.Sprintf("%s %s", c.Kind, c.Changes[0].Key)
	default:
		return fmt.Sprintf("%s %s and %d more", c.Kind, c.Changes[0].Key, n-1)
	}
}

// person is an author as git knows one. The address says how the author is known.
func person(a history.Author) gitstream.Person {
	switch a.Proof {
	case history.Accessor:
		return gitstream.Person{Name: a.Name, Email: a.Accessor + "@accessor"}
	case history.Claimed:
		return gitstream.Person{Name: a.Name, Email: a.Name}
	}
	return gitstream.Person{Name: "unknown", Email: "unknown"}
}
