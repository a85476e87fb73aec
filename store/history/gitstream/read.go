package gitstream

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"
)

// maxData is the maximum size of one message or file in bytes.
const maxData = 64 << 20

// Reader reads a stream with a linear history.
type Reader struct {
	in        *bufio.Reader
	lookahead string // read ahead
	has       bool
	lastMark  uint64          // the last commit
	paths     map[string]bool // in the tree after it
	blobs     map[uint64][]byte
	tags      []Tag
}

// NewReader returns a reader of `git fast-export` output.
func NewReader(r io.Reader) *Reader {
	return &Reader{in: bufio.NewReader(r), paths: map[string]bool{}, blobs: map[uint64][]byte{}}
}

// Tags returns the tags read so far; complete after io.EOF.
func (r *Reader) Tags() []Tag { return slices.Clone(r.tags) }

// Next returns the next commit, or io.EOF after the last one. A history with branches is an error that explains how to
// export a linear one.
func (r *Reader) Next() (Commit, error) {
	for {
		line, err := r.next()
		if err != nil {
			return Commit{}, err
		}
		word, rest, _ := strings.Cut(line, " ")
		switch word {
		case "commit":
			c, err := r.commit()
			if name, isTag := strings.CutPrefix(rest, "refs/tags/"); isTag && err == nil {
				r.setTag(name, c.Mark) // git names a commit by any ref that leads to it; the last one names the tagged commit
			}
			return c, err
		case "blob":
			err = r.blob()
		case "reset":
			err = r.reset(rest)
		case "tag":
			err = r.tag(rest)
		case "done":
			return Commit{}, io.EOF
		case "", "feature", "option", "progress", "checkpoint":
		default:
			err = fmt.Errorf("read the stream: %q is no command that git fast-export writes", shorten(line))
		}
		if err != nil {
			return Commit{}, err
		}
	}
}

func (r *Reader) commit() (c Commit, err error) {
	for err == nil {
		var line string
		if line, err = r.peek(); err != nil {
			break
		}
		word, rest, _ := strings.Cut(line, " ")
		switch word {
		case "mark":
			c.Mark, err = parseMark(rest)
		case "author", "committer":
			if word == "author" || c.Author == (Person{}) {
				c.Author, c.When, err = parsePerson(rest)
			}
		case "data":
			var text []byte
			if text, err = r.data(rest); err == nil {
				c.Message, c.Trailers = splitTrailers(string(text))
			}
			continue // r.data consumed the line
		case "from":
			var from uint64
			if from, err = parseMark(rest); err == nil && from != r.lastMark {
				err = errors.New("read the stream: the history branches: export one line of it, git fast-export --first-parent BRANCH")
			}
		case "merge", "original-oid", "encoding", "gpgsig", "N", "":
		case "M", "D", "R", "C", "deleteall":
			err = r.file(&c, word, rest)
			if word == "M" {
				continue
			}
		default:
			r.lastMark = c.Mark
			return c, nil
		}
		r.has = false
	}
	if errors.Is(err, io.EOF) && c.Mark != 0 {
		r.lastMark = c.Mark
		return c, nil
	}
	return c, err
}

// file reads one change of a commit.
func (r *Reader) file(c *Commit, word, rest string) (err error) {
	if word == "D" {
		path, err := unquote(rest)
		r.change(c, File{Path: path, Delete: true})
		return err
	}
	if word == "deleteall" {
		for _, path := range slices.Sorted(maps.Keys(r.paths)) {
			r.change(c, File{Path: path, Delete: true})
		}
		return nil
	}
	if word != "M" {
		return fmt.Errorf("read the stream: commit :%d has %q: export without -M and -C", c.Mark, word)
	}
	mode, rest, _ := strings.Cut(rest, " ")
	from, name, _ := strings.Cut(rest, " ")
	f := File{}
	if f.Path, err = unquote(name); err != nil {
		return err
	}
	if r.has = false; mode != "100644" && mode != "100755" && mode != "644" && mode != "755" {
		return fmt.Errorf("read the stream: %s is no plain file (mode %s)", f.Path, shorten(mode))
	}
	if from == "inline" {
		line, err := r.peek()
		if err != nil {
			return err
		}
		if f.Data, err = r.data(strings.TrimPrefix(line, "data ")); err != nil {
			return err
		}
	} else {
		n, err := parseMark(from)
		if err != nil {
			return err
		}
		data, found := r.blobs[n]
		if !found {
			return fmt.Errorf("read the stream: the content of %s is not in it: export without --no-data", f.Path)
		}
		f.Data = data
	}
	r.change(c, f)
	return nil
}

// change adds a change to a commit and replaces an earlier one of the same path.
func (r *Reader) change(c *Commit, f File) {
	if f.Delete {
		delete(r.paths, f.Path)
	} else {
		r.paths[f.Path] = true
	}
	if i := slices.IndexFunc(c.Files, func(old File) bool { return old.Path == f.Path }); i >= 0 {
		c.Files = slices.Delete(c.Files, i, i+1)
	}
	c.Files = append(c.Files, f)
}

func (r *Reader) blob() error {
	var number uint64
	for {
		line, err := r.next()
		if err != nil {
			return truncatedError(err)
		}
		word, rest, _ := strings.Cut(line, " ")
		switch word {
		case "mark":
			if number, err = parseMark(rest); err != nil {
				return err
			}
		case "original-oid":
		case "data":
			r.lookahead, r.has = line, true
			r.blobs[number], err = r.data(rest)
			return err
		default:
			return fmt.Errorf("read the stream: %q within a blob", shorten(line))
		}
	}
}

// reset reads the target of a branch or a lightweight tag.
func (r *Reader) reset(ref string) error {
	line, err := r.peek()
	if err != nil || !strings.HasPrefix(line, "from ") {
		return nil // a new branch, or the end of the stream
	}
	r.has = false
	number, err := parseMark(strings.TrimPrefix(line, "from "))
	if name, isTag := strings.CutPrefix(ref, "refs/tags/"); isTag && err == nil {
		r.setTag(name, number)
	}
	return err
}

// setTag sets or moves a tag.
func (r *Reader) setTag(tag string, mark uint64) {
	r.tags = append(slices.DeleteFunc(r.tags, func(t Tag) bool { return t.Name == tag }), Tag{Name: tag, Mark: mark})
}

// tag reads an annotated tag.
func (r *Reader) tag(name string) error {
	t := Tag{Name: name}
	for {
		line, err := r.peek()
		if err != nil {
			return truncatedError(err)
		}
		word, rest, _ := strings.Cut(line, " ")
		switch word {
		case "from":
			if t.Mark, err = parseMark(rest); err != nil {
				return err
			}
		case "data":
			r.setTag(t.Name, t.Mark)
			_, err := r.data(rest)
			return err
		}
		r.has = false
	}
}

// parsePerson parses NAME <EMAIL> SECONDS ZONE.
func parsePerson(text string) (p Person, when time.Time, err error) {
	name, rest, ok := strings.Cut(text, "<")
	email, stamp, ok2 := strings.Cut(rest, "> ")
	seconds, zone, _ := strings.Cut(stamp, " ")
	n, err := strconv.ParseInt(seconds, 10, 64)
	offset, err2 := strconv.Atoi(zone)
	if !ok || !ok2 || err != nil || err2 != nil {
		return p, when, fmt.Errorf("read the stream: %q is no author with a time", shorten(text))
	}
	place := time.UTC
	if offset != 0 {
		place = time.FixedZone(zone, offset/100*3600+offset%100*60)
	}
	return Person{strings.TrimSpace(name), email}, time.Unix(n, 0).In(place), nil
}
