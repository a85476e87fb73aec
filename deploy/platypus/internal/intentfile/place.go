package intentfile

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"unicode/utf8"

	"github.com/platypus-platform/platypus/intent"
)

// source is the text that values stand in.
type source struct {
	name   string
	data   []byte
	inside *Place // set for a value that was decoded out of another text
}

// Place is a point in a file, or in a value that a file holds in encoded form.
type Place struct {
	source *source
	offset int
}

func (s *source) at(offset int) Place { return Place{s, max(0, min(offset, len(s.data)))} }

// LineCol returns the place, both from 1; columns count bytes.
func (p Place) LineCol() (line, col int) {
	before := p.source.data[:p.offset]
	return 1 + bytes.Count(before, []byte("\n")), p.offset - bytes.LastIndexByte(before, '\n')
}

// File is the name of the file, "-" for standard input.
func (p Place) File() string { return p.source.name }

// String is file:line:col. Of an encoded value it is where the item stands in the file.
func (p Place) String() string {
	if p.source.inside != nil {
		return p.source.inside.String()
	}
	line, col := p.LineCol()
	return fmt.Sprintf("%s:%d:%d", p.source.name, line, col)
}

// Encoded reports whether line and column count within a decoded value rather than within the file.
func (p Place) Encoded() bool { return p.source.inside != nil }

// Problem is the place of a problem of the value that begins at p.
func (p Place) Problem(problem intent.Problem) Place {
	if problem.Line == 0 {
		return p
	}
	at := p.offset
	for range problem.Line - 1 {
		next := bytes.IndexByte(p.source.data[at:], '\n')
		if next < 0 {
			break
		}
		at += next + 1
	}
	return p.source.at(at + problem.Col - 1)
}

// Excerpt returns the line of the place and, below it, a caret at the column. Tabs stay, so that the caret lines up;
// of a long line only the part around the place is shown.
func (p Place) Excerpt() (line, caret string) {
	const before, width = 60, 100
	data := p.source.data
	start := bytes.LastIndexByte(data[:p.offset], '\n') + 1
	end := len(data)
	if i := bytes.IndexByte(data[p.offset:], '\n'); i >= 0 {
		end = p.offset + i
	}
	head, tail := "", ""
	if end-start > width {
		if p.offset-start > before {
			start, head = p.offset-before, "…"
		}
		if end-start > width {
			end, tail = start+width, "…"
		}
	}
	lead := strings.Map(func(r rune) rune {
		if r == '\t' {
			return r
		}
		return ' '
	}, strings.ToValidUTF8(head+string(data[start:p.offset]), "?"))
	text := strings.TrimRight(string(data[start:end]), "\r")
	return head + clean(text) + tail, lead + "^"
}

// clean keeps control characters of a file away from the terminal.
func clean(text string) string {
	return strings.Map(func(r rune) rune {
		if r < ' ' && r != '\t' || r == 0x7f || r == utf8.RuneError {
			return '?'
		}
		return r
	}, text)
}

// Errorf returns an error that begins with the place.
func (p Place) Errorf(format string, args ...any) error {
	return PlaceError{p, fmt.Sprintf(format, args...)}
}

// PlaceError is an error whose place can be shown.
type PlaceError struct {
	Place Place
	Text  string
}

// Error says where and what, in one line.
func (e PlaceError) Error() string { return e.Place.String() + ": " + e.Text }

// sound says what keeps the text from being read as JSON at all.
func (s *source) sound() error {
	switch {
	case len(s.data) > maxFile:
		return fmt.Errorf("read %s: it is larger than %d MiB", s.name, maxFile>>20)
	case len(bytes.TrimSpace(s.data)) == 0:
		return fmt.Errorf("read %s: it is empty: an object of keys to values is expected", s.name)
	case bytes.HasPrefix(s.data, []byte("\xef\xbb\xbf")):
		return s.at(0).Errorf("the file begins with a byte order mark: save it as plain UTF-8")
	}
	var whole json.RawMessage
	err := json.Unmarshal(s.data, &whole)
	var syntax *json.SyntaxError
	if errors.As(err, &syntax) {
		text, at := syntax.Error(), int(syntax.Offset)-1
		if strings.HasPrefix(text, "unexpected end") {
			text, at = "it ends in the middle", len(bytes.TrimRight(s.data, " \t\r\n"))
		}
		return s.at(at).Errorf("not JSON: %s", text)
	}
	if err != nil {
		return fmt.Errorf("read %s: %w", s.name, err)
	}
	return nil
}
