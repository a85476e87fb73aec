// Package gitlog carries the history of intent into git and back. Each commit becomes one of git's, each key a file
// <key>.json, so that a checkout is a directory of intent as platypus apply takes it; what git has no place for stands in
// trailers of the message.
package gitlog

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/platypus-platform/platypus/intent"
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

	trailerUntitled = "Platypus-Untitled"   // the commit has no message: the one that stands there was made for git
	trailerGap      = "Platypus-Gap"        // the commits just before this one that are not in git
	trailerStale    = "Platypus-Incomplete" // the commits whose changes are missing from the tree of this one
)

// ending is what a key has in git and not in the store.
const ending = ".json"

// change is what a trailer says of one key.
type change struct {
	Key       string            `json:"key"`
	Base      uint64            `json:"base,omitempty"`
	Index     uint64            `json:"index,omitempty"`
	Recreated bool              `json:"recreated,omitempty"`
	Seen      *history.Interval `json:"seen,omitempty"`
}

// Stream is a history as git wrote it.
type Stream struct {
	Commits []history.Commit
	LeftOut []string // files that are no intent, each once, in the order in which they came

	tags []gitstream.Tag
	ids  map[uint64]string // of the commits, by mark
}

// Read reads all of a stream. Of what people made with git, files that are no intent are left out, and so are commits that
// changed nothing else.
func Read(r io.Reader) (Stream, error) {
	in := gitstream.NewReader(r)
	s := Stream{ids: map[uint64]string{}}
	known, left := map[string]bool{}, map[string]bool{} // paths
	last := ""
	for {
		g, err := in.Next()
		if err == io.EOF {
			s.tags = in.Tags()
			return s, nil
		}
		if err != nil {
			return s, err
		}
		exported, n := g.Trailer(trailerSeq) != "", len(g.Files)
		g.Files = slices.DeleteFunc(g.Files, func(f gitstream.File) bool {
			if known[f.Path] || isIntent(f.Path, exported) {
				known[f.Path] = true
				return false
			}
			if !left[f.Path] {
				left[f.Path], s.LeftOut = true, append(s.LeftOut, f.Path)
			}
			return true
		})
		if len(g.Files) == 0 && n > 0 {
			s.ids[g.Mark] = last // a tag of it is one of the commit before
			continue
		}
		c, err := toHistory(g)
		if err != nil {
			return s, fmt.Errorf("commit :%d: %w", g.Mark, err)
		}
		s.Commits, s.ids[g.Mark], last = append(s.Commits, c), c.ID, c.ID
	}
}

// isIntent reports whether a file is a key of intent. What an export wrote is, whatever it is called.
func isIntent(path string, exported bool) bool {
	key, ok := strings.CutSuffix(path, ending)
	return ok && (exported || intent.CheckKey(key) == nil)
}

// All goes through the commits, oldest first.
func (s Stream) All(yield func(history.Commit, error) bool) {
	for _, c := range s.Commits {
		if !yield(c, nil) {
			return
		}
	}
}

// Import writes a stream into a history that has no commit, and its tags. It returns the newest commit.
func Import(ctx context.Context, log *history.Log, s Stream) (history.Head, error) {
	head, err := log.Import(ctx, s.All)
	if err != nil {
		return head, err
	}
	return head, tag(ctx, log, s.tags, s.ids)
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
	if c.Note.Message = strings.TrimSuffix(g.Message, "\n"); g.Trailer(trailerUntitled) != "" {
		c.Note.Message = ""
	}
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
