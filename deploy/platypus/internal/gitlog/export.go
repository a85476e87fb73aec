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

// Target is the destination of an export.
type Target struct {
	Branch string
	Repo   *Repo // if set, the export continues from the newest commit of this repository
}

// Span is a range of commits, both ends included.
type Span struct {
	From uint64 `json:"from"`
	To   uint64 `json:"to"`
}

// String returns FROM-TO, or one number.
func (s Span) String() string {
	if s.From == s.To {
		return strconv.FormatUint(s.From, 10)
	}
	return fmt.Sprintf("%d-%d", s.From, s.To)
}

// Result is what an export wrote.
type Result struct {
	Commits   int    `json:"commits"`
	Onto      uint64 `json:"onto"`      // the newest commit that git already had; 0: none
	Head      uint64 `json:"head"`      // the newest commit that git has after reading the export
	Floor     uint64 `json:"floor"`     // the first commit of the history; 0 or 1: the history is complete
	Damaged   []Span `json:"damaged"`   // commits that failed verification and were skipped
	Compacted Span   `json:"compacted"` // commits that were deleted before git got them; From is 0 if there are none
	Stale     bool   `json:"stale"`     // the newest tree lacks the changes of the damaged commits
}

// Export writes the history and its tags in the format of git fast-import: all of it, or only what follows the newest
// commit of the repository, in time proportional to that part. A commit that fails verification is skipped and named in
// the trailers of the next one; git lacks its changes until the next checkpoint of the history.
func Export(ctx context.Context, log *history.Log, w io.Writer, to Target) (Result, error) {
	e := exporter{log: log, out: gitstream.NewWriter(w, to.Branch)}
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
		if err := checkContinues(ctx, log, tip); err != nil {
			return e.done, fmt.Errorf("branch %s of %s: %w", to.Branch, to.Repo.Dir, err)
		}
		e.out.Onto(tip.commit)
	}
	e.done.Onto, e.done.Head, e.done.Floor, e.done.Stale = tip.Seq, tip.Seq, floor, tip.stale != ""
	head, err := log.Head(ctx)
	if err != nil {
		return e.done, err
	}
	e.incomplete, e.rewrite, e.newest = tip.stale, tip.commit == "", head.Seq
	if tip.commit != "" && tip.Seq+1 < floor {
		e.done.Compacted, e.rewrite = Span{tip.Seq + 1, floor - 1}, true
		e.skipped = []Span{e.done.Compacted}
	}
	for c, err := range log.Commits(ctx, history.Query{From: tip.Seq + 1, Oldest: true, Values: true}) {
		if err == nil {
			err = e.writeCommit(ctx, c)
		}
		if err != nil {
			return e.done, fmt.Errorf("export: %w", err)
		}
	}
	if err := e.writeTags(ctx, to, tip); err != nil {
		return e.done, fmt.Errorf("export: %w", err)
	}
	return e.done, e.out.Close()
}

// checkContinues fails if the newest commit in git is not one of this history.
func checkContinues(ctx context.Context, log *history.Log, tip Tip) error {
	err := log.Confirm(ctx, tip.Head)
	if !errors.Is(err, history.ErrRewound) {
		return err
	}
	// The entry may have been damaged since: then the next entry confirms the hash in git.
	for c, err := range log.Commits(ctx, history.Query{From: tip.Seq + 1, To: tip.Seq + 1}) {
		if err == nil && c.Fault == nil && c.Prev == tip.Hash {
			return nil
		}
	}
	return fmt.Errorf("it is not an earlier state of this history: %w", err)
}

// exporter is the state of one export.
type exporter struct {
	log        *history.Log
	out        *gitstream.Writer
	done       Result
	skipped    []Span // commits skipped since the last written one
	incomplete string // the commits whose changes are missing from the tree in git, in the form of the trailer; "" if none
	rewrite    bool   // the next commit must contain its whole tree
	newest     uint64
}

// recheckInterval is the number of commits between attempts to read the whole tree: each reads up to one checkpoint.
const recheckInterval = 16

// writeCommit writes one commit, or records that it cannot.
func (e *exporter) writeCommit(ctx context.Context, c history.Commit) error {
	if c.Fault != nil {
		e.skipDamaged(c.Seq)
		return nil
	}
	g, err := fromHistory(c)
	if err != nil {
		return fmt.Errorf("commit %d: %w", c.Seq, err)
	}
	if e.rewrite || e.incomplete != "" && (c.Seq%recheckInterval == 0 || c.Seq == e.newest) {
		files, known, err := e.wholeTree(ctx, c.Seq)
		switch {
		case err != nil:
			return fmt.Errorf("commit %d: %w", c.Seq, err)
		case known:
			g.Files, g.Whole, e.incomplete = files, true, ""
		case e.incomplete == "":
			e.incomplete = "unknown"
		}
		e.rewrite = false
	}
	var gaps []string
	for _, s := range e.skipped {
		gaps = append(gaps, s.String())
	}
	if e.skipped = nil; len(gaps) > 0 {
		g.Trailers = append(g.Trailers, gitstream.Trailer{Key: trailerGap, Value: strings.Join(gaps, ", ")})
	}
	if e.incomplete != "" {
		g.Trailers = append(g.Trailers, gitstream.Trailer{Key: trailerStale, Value: e.incomplete})
	}
	e.out.Commit(g)
	e.done.Commits, e.done.Head, e.done.Stale = e.done.Commits+1, c.Seq, e.incomplete != ""
	return nil
}

// skipDamaged records a commit that failed verification.
func (e *exporter) skipDamaged(seq uint64) {
	add := func(spans []Span) []Span {
		if n := len(spans); n > 0 && spans[n-1].To+1 == seq {
			spans[n-1].To = seq
			return spans
		}
		return append(spans, Span{seq, seq})
	}
	e.skipped, e.done.Damaged = add(e.skipped), add(e.done.Damaged)
	e.incomplete = strings.TrimPrefix(e.incomplete+", "+strconv.FormatUint(seq, 10), ", ")
}

// wholeTree returns the whole tree as files. known is false if an entry that it depends on failed verification.
func (e *exporter) wholeTree(ctx context.Context, seq uint64) (files []gitstream.File, known bool, err error) {
	s, err := e.log.At(ctx, seq)
	if errors.Is(err, history.ErrForged) {
		return nil, false, nil
	}
	if err != nil || len(s.Faults) > 0 {
		return nil, false, err
	}
	for v := range s.All("") {
		files = append(files, gitstream.File{Path: v.Key + fileSuffix, Data: v.Data})
	}
	return files, true, nil
}

// writeTags writes the tags that git does not have. Tags of commits that git already had refer to their hash in git.
func (e *exporter) writeTags(ctx context.Context, to Target, tip Tip) error {
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

func (e *exporter) damaged(seq uint64) bool {
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
	g := gitstream.Commit{Mark: c.Seq, Author: gitAuthor(c.Note.Author), When: c.At, Message: cmp.Or(c.Note.Message, subjectLine(c)), Trailers: []gitstream.Trailer{
		{Key: trailerSeq, Value: strconv.FormatUint(c.Seq, 10)}, {Key: trailerID, Value: c.ID},
		{Key: trailerAt, Value: c.At.Format(time.RFC3339Nano)}, {Key: trailerKind, Value: string(c.Kind)},
		{Key: trailerIndex, Value: strconv.FormatUint(c.Index, 10)}, {Key: trailerHash, Value: c.Hash.String()},
		{Key: trailerNote, Value: string(said)},
	}}
	if c.Note.Message == "" {
		g.Trailers = append(g.Trailers, gitstream.Trailer{Key: trailerUntitled, Value: "true"})
	}
	for _, x := range c.Changes {
		g.Files = append(g.Files, gitstream.File{Path: x.Key + fileSuffix, Data: x.Value, Delete: x.Op == history.Delete})
		if x.Seen == nil && !x.Recreated {
			continue
		}
		said, err := json.Marshal(changeTrailer{x.Key, x.Base, x.Index, x.Recreated, x.Seen})
		if err != nil {
			return g, err
		}
		g.Trailers = append(g.Trailers, gitstream.Trailer{Key: trailerChange, Value: string(said)})
	}
	return g, nil
}

// subjectLine returns a message for a commit that has none: otherwise git would show the first trailer.
func subjectLine(c history.Commit) string {
	switch n := len(c.Changes); n {
	case 0:
		return string(c.Kind)
	case 1:
		return fmt.Sprintf("%s %s", c.Kind, c.Changes[0].Key)
	default:
		return fmt.Sprintf("%s %s and %d more", c.Kind, c.Changes[0].Key, n-1)
	}
}

// gitAuthor converts an author. The address tells how the author was identified.
func gitAuthor(a history.Author) gitstream.Person {
	switch a.Proof {
	case history.Accessor:
		return gitstream.Person{Name: a.Name, Email: a.Accessor + "@accessor"}
	case history.Claimed:
		return gitstream.Person{Name: a.Name, Email: a.Name}
	}
	return gitstream.Person{Name: "unknown", Email: "unknown"}
}
