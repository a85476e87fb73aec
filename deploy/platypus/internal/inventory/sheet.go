package inventory

import (
	"bytes"
	"encoding/csv"
	"errors"
	"fmt"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"
)

// Bounds of a sheet.
const (
	maxSheet = 16 << 20 // bytes
	maxCell  = 1 << 10  // bytes
	maxTold  = 100      // problems that are told of one sheet
)

// Problem is one thing wrong with a sheet, and where.
type Problem struct {
	Line    int    `json:"line"` // from 1
	Col     int    `json:"col"`  // from 1, in bytes
	Text    string `json:"text"`
	Warning bool   `json:"warning,omitempty"` // the row is usable all the same
}

// String is line:col and what is wrong there.
func (p Problem) String() string {
	kind := ""
	if p.Warning {
		kind = "warning: "
	}
	return fmt.Sprintf("%d:%d: %s%s", p.Line, p.Col, kind, p.Text)
}

// cell is one field of a row, trimmed, and where it begins.
type cell struct {
	text      string
	line, col int
}

// row is one line of a sheet.
type row struct {
	line   int
	cells  map[string]cell
	broken bool // an error was told of it
}

// sheet reads rows and collects what is wrong with them. A row is one line: neither of the two shapes has a line break
// within a cell, so that a stray quote can cost its own line and no other.
type sheet struct {
	columns  []string
	rows     []*row
	problems []Problem
}

func (s *sheet) errorf(r *row, at cell, format string, args ...any) {
	r.broken = true
	s.problems = append(s.problems, Problem{at.line, at.col, fmt.Sprintf(format, args...), false})
}

func (s *sheet) warnf(at cell, format string, args ...any) {
	s.problems = append(s.problems, Problem{at.line, at.col, fmt.Sprintf(format, args...), true})
}

// shape says which columns a sheet has. What is in neither list is never looked at.
type shape struct {
	noun     string
	required []string
	optional []string
}

// readSheet takes a text apart. The error says why nothing of it can be read.
func readSheet(data []byte, form shape) (*sheet, error) {
	if len(data) > maxSheet {
		return nil, fmt.Errorf("it is larger than %d MiB", maxSheet>>20)
	}
	data = bytes.TrimPrefix(data, []byte("\xef\xbb\xbf"))
	s := &sheet{}
	for i, line := range bytes.Split(data, []byte("\n")) {
		line = bytes.TrimSuffix(line, []byte("\r"))
		if len(bytes.TrimSpace(line)) == 0 {
			continue
		}
		if s.columns == nil {
			if err := s.header(i+1, line, form); err != nil {
				return nil, err
			}
			continue
		}
		s.row(i+1, line, form)
	}
	if s.columns == nil {
		return nil, errors.New("1:1: it is empty: a header is expected: " + strings.Join(form.required, ","))
	}
	return s, nil
}

// header learns the columns, in whatever order they come.
func (s *sheet) header(number int, line []byte, form shape) error {
	cells, fault := split(number, line)
	if fault != nil {
		return errors.New(fault.String())
	}
	known := slices.Concat(form.required, form.optional)
	for _, c := range cells {
		name := strings.ToLower(c.text)
		switch {
		case slices.Contains(s.columns, name) && slices.Contains(known, name):
			return fmt.Errorf("%d:%d: column %q comes twice: keep one", c.line, c.col, name)
		case !slices.Contains(known, name):
			s.warnf(c, "column %s is unknown and left out: the columns of %s are %s", shown(c.text), form.noun, strings.Join(known, ","))
			name = ""
		}
		s.columns = append(s.columns, name)
	}
	for _, name := range form.required {
		if !slices.Contains(s.columns, name) {
			return fmt.Errorf("%d:1: there is no column %q: the header of %s is %s", number, name, form.noun, strings.Join(known, ","))
		}
	}
	return nil
}

func (s *sheet) row(number int, line []byte, form shape) {
	r := &row{line: number, cells: map[string]cell{}}
	s.rows = append(s.rows, r)
	cells, fault := split(number, line)
	if fault != nil {
		r.broken = true
		s.problems = append(s.problems, *fault)
		return
	}
	if len(cells) != len(s.columns) {
		at := cells[min(len(cells), len(s.columns))-1]
		s.errorf(r, at, "the row has %d cells and the header %d: is a comma not quoted, or one missing?", len(cells), len(s.columns))
		return
	}
	for i, c := range cells {
		name := s.columns[i]
		if fault := unprintable(c.text); fault != "" {
			s.errorf(r, c, "cell %q %s", columnName(name, i), fault)
			continue
		}
		if c.text == "" && slices.Contains(form.required, name) {
			s.errorf(r, c, "cell %q is empty", name)
		}
		if name != "" {
			r.cells[name] = c
		}
	}
}

func columnName(name string, i int) string {
	if name == "" {
		return fmt.Sprint("number ", i+1)
	}
	return name
}

// split takes one line apart.
func split(number int, line []byte) ([]cell, *Problem) {
	reader := csv.NewReader(bytes.NewReader(line))
	reader.FieldsPerRecord = -1
	fields, err := reader.Read()
	var syntax *csv.ParseError
	switch {
	case errors.As(err, &syntax) && errors.Is(err, csv.ErrBareQuote):
		return nil, &Problem{number, max(1, syntax.Column), "a quote stands within a cell: put the cell into quotes and double the quote", false}
	case errors.As(err, &syntax):
		return nil, &Problem{number, max(1, syntax.Column), "a quoted cell does not end where it should: its closing quote is missing, or not doubled", false}
	case err != nil:
		return nil, &Problem{number, 1, "the line cannot be read: " + err.Error(), false}
	}
	cells := make([]cell, len(fields))
	for i, field := range fields {
		_, col := reader.FieldPos(i)
		cells[i] = cell{strings.TrimSpace(field), number, col}
	}
	return cells, nil
}

// unprintable says what keeps a cell from being text, or "".
func unprintable(text string) string {
	switch {
	case len(text) > maxCell:
		return fmt.Sprintf("has %d bytes, at most %d are allowed", len(text), maxCell)
	case !utf8.ValidString(text):
		return "is not valid UTF-8"
	case strings.ContainsFunc(text, func(r rune) bool { return !unicode.IsPrint(r) }):
		return "holds a character that cannot be printed"
	}
	return ""
}

// shown is a cell for a message: short, and nothing that steers a terminal.
func shown(text string) string {
	if len(text) > 40 {
		text = strings.ToValidUTF8(text[:40], "") + "…"
	}
	return fmt.Sprintf("%q", text)
}
