// Package gitlog carries the history of intent into git and back. Each commit becomes one of git's, each key a file
// <key>.json, so that a checkout is a directory of intent as platypus apply takes it; what git has no place for stands in
// trailers of the message.
package gitlog

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"iter"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/platypus-platform/platypus/store/history"
	"github.com/platypus-platform/platypus/store/history/gitstream"
)

// The trailers. Those of a commit that people made with git are absent.
const (
	trailerSeq    = "Platypus-Seq"
	trailerID     = "Platypus-Id"
	trailerAt     = "Platypus-At"
	trailerKind   = "Platypus-Kind"
	trailerIndex  = "Platypus-Index"
	trailerHash   = "Platypus-Hash"
	trailerNote   = "Platypus-Note"   // the history's note without its message
	trailerChange = "Platypus-Change" // what is known of a plain write, one line a key
)

// ending is what a key has in git and not in the store.
const ending = ".json"

// Export writes the history, from where it begins, and its tags. It returns how many commits there were. An entry that
// cannot be believed is an error: it would be exported as if it could.
func Export(ctx context.Context, log *history.Log, w io.Writer, branch string) (n int, err error) {
	out := gitstream.NewWriter(w, branch)
	floor, _, err := log.Floor(ctx)
	if err != nil {
		return 0, err
	}
	for c, err := range log.Commits(ctx, history.Query{Oldest: true, Values: true}) {
		if err == nil {
			err = c.Fault
		}
		if err != nil {
			return n, fmt.Errorf("export: %w", err)
		}
		commit, err := fromHistory(c)
		if err == nil && c.Seq == max(floor, 1) {
			commit.Files, err = all(ctx, log, c.Seq)
		}
		if err != nil {
			return n, fmt.Errorf("export commit %d: %w", c.Seq, err)
		}
		out.Commit(commit)
		n++
	}
	tags, err := log.Tags(ctx)
	if err != nil {
		return n, err
	}
	for _, t := range tags {
		if n > 0 && t.Seq >= floor {
			out.Tag(gitstream.Tag{Name: t.Name, Mark: t.Seq})
		}
	}
	return n, out.Close()
}

// all is the whole tree as files: the first commit of an export stands for everything before it.
func all(ctx context.Context, log *history.Log, seq uint64) (files []gitstream.File, err error) {
	s, err := log.At(ctx, seq)
	if err != nil {
		return nil, err
	}
	for v := range s.All("") {
		files = append(files, gitstream.File{Path: v.Key + ending, Data: v.Data})
	}
	return files, nil
}

// change is what a trailer says of one key.
type change struct {
	Key       string            `json:"key"`
	Base      uint64            `json:"base,omitempty"`
	Index     uint64            `json:"index,omitempty"`
	Recreated bool              `json:"recreated,omitempty"`
	Seen      *history.Interval `json:"seen,omitempty"`
}

func fromHistory(c history.Commit) (gitstream.Commit, error) {
	note := c.Note
	note.Message = ""
	said, err := json.Marshal(note)
	if err != nil {
		return gitstream.Commit{}, err
	}
	g := gitstream.Commit{Mark: c.Seq, Author: person(c.Note.Author), When: c.At, Message: c.Note.Message, Trailers: []gitstream.Trailer{
		{Key: trailerSeq, Value: strconv.FormatUint(c.Seq, 10)}, {Key: trailerID, Value: c.ID},
		{Key: trailerAt, Value: c.At.Format(time.RFC3339Nano)}, {Key: trailerKind, Value: string(c.Kind)},
		{Key: trailerIndex, Value: strconv.FormatUint(c.Index, 10)}, {Key: trailerHash, Value: c.Hash.String()},
		{Key: trailerNote, Value: string(said)},
	}}
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

// Commits reads the commits of a stream, oldest first. An error ends it.
func Commits(r io.Reader) iter.Seq2[history.Commit, error] {
	return commits(gitstream.NewReader(r), map[uint64]string{})
}

// commits notes the id of each commit by its mark.
func commits(in *gitstream.Reader, ids map[uint64]string) iter.Seq2[history.Commit, error] {
	return func(yield func(history.Commit, error) bool) {
		for {
			g, err := in.Next()
			if err == io.EOF {
				return
			}
			var c history.Commit
			if err == nil {
				c, err = toHistory(g)
				ids[g.Mark] = c.ID
			}
			if !yield(c, err) || err != nil {
				return
			}
		}
	}
}

// Import reads a stream into a history that has no commit, and its tags. It returns the newest commit.
func Import(ctx context.Context, log *history.Log, r io.Reader) (history.Head, error) {
	in := gitstream.NewReader(r)
	ids := map[uint64]string{} // by mark
	head, err := log.Import(ctx, commits(in, ids))
	if err != nil {
		return head, err
	}
	return head, tag(ctx, log, in.Tags(), ids)
}

// tag gives the tags of a stream to the commits as they are numbered here.
func tag(ctx context.Context, log *history.Log, tags []gitstream.Tag, ids map[uint64]string) error {
	if len(tags) == 0 {
		return nil
	}
	seqs := map[string]uint64{}
	for c, err := range log.Commits(ctx, history.Query{Oldest: true}) {
		if err != nil {
			return err
		}
		seqs[c.ID] = c.Seq // of one that became several, the last
	}
	for _, t := range tags {
		if seq := seqs[ids[t.Mark]]; seq > 0 {
			if _, err := log.Tag(ctx, history.Tag{Name: t.Name, Seq: seq, Note: "imported", Author: history.Author{Proof: history.Unknown}}); err != nil {
				return err
			}
		}
	}
	return nil
}

func toHistory(g gitstream.Commit) (c history.Commit, err error) {
	c = history.Commit{ID: g.Trailer(trailerID), At: g.When.UTC(), Kind: history.Kind(g.Trailer(trailerKind))}
	if c.ID == "" {
		c.ID = "git:" + strconv.FormatUint(g.Mark, 10)
	}
	if exact, err := time.Parse(time.RFC3339Nano, g.Trailer(trailerAt)); err == nil {
		c.At = exact
	}
	if said := g.Trailer(trailerNote); said != "" {
		if err := json.Unmarshal([]byte(said), &c.Note); err != nil {
			return c, fmt.Errorf("its %s: %w", trailerNote, err)
		}
	} else {
		c.Kind, c.Note = history.Import, history.Note{Via: "git", Author: history.Author{Name: g.Author.Name + " <" + g.Author.Email + ">", Proof: history.Claimed}}
	}
	c.Note.Message = strings.TrimSuffix(g.Message, "\n")
	known := map[string]change{}
	for _, t := range g.Trailers {
		var x change
		if t.Key == trailerChange && json.Unmarshal([]byte(t.Value), &x) == nil {
			known[x.Key] = x
		}
	}
	for _, f := range g.Files {
		key, ok := strings.CutSuffix(f.Path, ending)
		if !ok {
			return c, fmt.Errorf("%s does not end in %s: it is no key of intent", f.Path, ending)
		}
		x := history.Change{Key: key, Op: history.Put, Value: f.Data}
		if f.Delete {
			x.Op = history.Delete
		}
		if k, was := known[key]; was {
			x.Base, x.Index, x.Recreated, x.Seen = k.Base, k.Index, k.Recreated, k.Seen
		}
		c.Changes = append(c.Changes, x)
	}
	slices.SortFunc(c.Changes, func(a, b history.Change) int { return strings.Compare(a.Key, b.Key) })
	return c, nil
}
