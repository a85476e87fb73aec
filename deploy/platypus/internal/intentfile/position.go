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

// source is the text that contains the values.
type source struct {
	name      string
	data      []byte
	container *Position // set for a value that was decoded from another text
}

// Position is a point in a file, or in a value that a file holds in encoded form.
type Position struct {
	source *source
	offset int
}

func (s *source) at(offset int) Position { return Position{s, max(0, min(offset, len(s.data)))} }

// LineCol returns line and column, both from 1; columns count bytes.
func (p Position) LineCol() (line, col int) {
	before := p.source.data[:p.offset]
	return 1 + bytes.Count(before, []byte("\n")), p.offset - bytes.LastIndexByte(before, '\n')
}

// File returns the name of the file, "-" for standard input.
func (p Position) File() string { return p.source.name }

// String returns file:line:col. For an encoded value it is the position of the item in the file.
func (p Position) String() string {
	if p.source.container != nil {
		return p.source.container.String()
	}
	line, col := p.LineCol()
	return fmt.Sprintf("%s:%d:%d", p.source.name, line, col)
}

// Encoded reports whether line and column count within a decoded value instead of the file.
func (p Position) Encoded() bool { return p.source.container != nil }

// OfProblem returns the position of a problem of the value that begins at p.
func (p Position) OfProblem(problem intent.Problem) Position {
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

// Excerpt returns the line and, below it, a caret at the column. Tabs stay, so that the caret is aligned; a long line
// is cut around the position.
func (p Position) Excerpt() (line, caret string) {
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
	return head + sanitize(text) + tail, lead + "^"
}

// sanitize replaces control characters of a file, which could affect the terminal.
func sanitize(text string) string {
	return strings.Map(func(r rune) rune {
		if r < ' ' && r != '\t' || r == 0x7f || r == utf8.RuneError {
			return '?'
		}
		return r
	}, text)
}

// Errorf returns an error that begins with the position.
func (p Position) Errorf(format string, args ...any) error {
	return PositionError{p, fmt.Sprintf(format, args...)}
}

// PositionError is an error with a position.
type PositionError struct {
	Position Position
	Text     string
}

// Error returns the position and the text in one line.
func (e PositionError) Error() string { return e.Position.String() + ": " + e.Text }

// checkSyntax reports why the text is not valid JSON.
func (s *source) checkSyntax() error {
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
