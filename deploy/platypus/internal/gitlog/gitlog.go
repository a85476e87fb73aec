// Package gitlog exports the history of intent to git and imports it again. Each commit becomes a git commit and each
// key a file <key>.json, so that a checkout is a directory of intent as platypus apply takes it. Trailers of the
// message hold what git cannot store.
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

// The trailers of exported commits. Commits that people made with git have none.
const (
	trailerSeq    = "Platypus-Seq"
	trailerID     = "Platypus-Id"
	trailerAt     = "Platypus-At"
	trailerKind   = "Platypus-Kind"
	trailerIndex  = "Platypus-Index"
	trailerHash   = "Platypus-Hash"
	trailerNote   = "Platypus-Note"   // the note of the commit without its message
	trailerChange = "Platypus-Change" // what is known of a plain write, one line for each key

	trailerUntitled = "Platypus-Untitled"   // the commit has no message: the one in git is generated
	trailerGap      = "Platypus-Gap"        // the commits directly before this one that are not in git
	trailerStale    = "Platypus-Incomplete" // the commits whose changes are missing from this tree
)

// fileSuffix is added to a key to form its file name in git.
const fileSuffix = ".json"

// changeTrailer is the trailer about one key.
type changeTrailer struct {
	Key       string            `json:"key"`
	Base      uint64            `json:"base,omitempty"`
	Index     uint64            `json:"index,omitempty"`
	Recreated bool              `json:"recreated,omitempty"`
	Seen      *history.Interval `json:"seen,omitempty"`
}

// Stream is a history read from git.
type Stream struct {
	Commits []history.Commit
	Skipped []string // files that are not intent, without duplicates, in the order of their appearance

	tags []gitstream.Tag
	ids  map[uint64]string // commit IDs by mark
}

// Read reads a whole stream. In commits that people made with git, it skips files that are not intent, and commits that
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
				left[f.Path], s.Skipped = true, append(s.Skipped, f.Path)
			}
			return true
		})
		if len(g.Files) == 0 && n > 0 {
			s.ids[g.Mark] = last // its tags then refer to the previous commit
			continue
		}
		c, err := toHistory(g)
		if err != nil {
			return s, fmt.Errorf("commit :%d: %w", g.Mark, err)
		}
		s.Commits, s.ids[g.Mark], last = append(s.Commits, c), c.ID, c.ID
	}
}

// isIntent reports whether a file is a key of intent. Every file of an exported commit is one.
func isIntent(path string, exported bool) bool {
	key, ok := strings.CutSuffix(path, fileSuffix)
	return ok && (exported || intent.CheckKey(key) == nil)
}

// All iterates over the commits, oldest first.
func (s Stream) All(yield func(history.Commit, error) bool) {
	for _, c := range s.Commits {
		if !yield(c, nil) {
			return
		}
	}
}

// Import writes a stream and its tags into an empty history. It returns the newest commit.
func Import(ctx context.Context, log *history.Log, s Stream) (history.Head, error) {
	head, err := log.Import(ctx, s.All)
	if err != nil {
		return head, err
	}
	return head, importTags(ctx, log, s.tags, s.ids)
}

// importTags sets the tags of a stream on the commits as they are numbered here.
func importTags(ctx context.Context, log *history.Log, tags []gitstream.Tag, ids map[uint64]string) error {
	if len(tags) == 0 {
		return nil
	}
	seqs := map[string]uint64{}
	for c, err := range log.Commits(ctx, history.Query{Oldest: true}) {
		if err != nil {
			return err
		}
		seqs[c.ID] = c.Seq // if one commit became several, the last of them
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
	known := map[string]changeTrailer{}
	for _, t := range g.Trailers {
		var x changeTrailer
		if t.Key == trailerChange && json.Unmarshal([]byte(t.Value), &x) == nil {
			known[x.Key] = x
		}
	}
	for _, f := range g.Files {
		key, ok := strings.CutSuffix(f.Path, fileSuffix)
		if !ok {
			return c, fmt.Errorf("%s does not end in %s: it is no key of intent", f.Path, fileSuffix)
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
