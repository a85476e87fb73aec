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

// Limits of a sheet.
const (
	maxSheet    = 16 << 20 // bytes
	maxCell     = 1 << 10  // bytes
	maxProblems = 100      // problems that are reported for one sheet
)

// Problem is one problem of a sheet and its position.
type Problem struct {
	Line    int    `json:"line"` // from 1
	Col     int    `json:"col"`  // from 1, in bytes
	Text    string `json:"text"`
	Warning bool   `json:"warning,omitempty"` // the row is still usable
}

// String returns line:col and the problem.
func (p Problem) String() string {
	kind := ""
	if p.Warning {
		kind = "warning: "
	}
	return fmt.Sprintf("%d:%d: %s%s", p.Line, p.Col, kind, p.Text)
}

// cell is one field of a row, trimmed, and its position.
type cell struct {
	text      string
	line, col int
}

// row is one line of a sheet.
type row struct {
	line    int
	cells   map[string]cell
	invalid bool // an error was reported for it
}

// sheet reads rows and collects their problems. A row is one line: neither format has line breaks within a cell, so a
// stray quote damages only its own line.
type sheet struct {
	columns  []string
	rows     []*row
	problems []Problem
}

func (s *sheet) errorf(r *row, at cell, format string, args ...any) {
	r.invalid = true
	s.problems = append(s.problems, Problem{at.line, at.col, fmt.Sprintf(format, args...), false})
}

func (s *sheet) warnf(at cell, format string, args ...any) {
	s.problems = append(s.problems, Problem{at.line, at.col, fmt.Sprintf(format, args...), true})
}

// columnSpec lists the columns of a sheet. Other columns are never read.
type columnSpec struct {
	noun     string
	required []string
	optional []string
}

// readSheet parses a text. Its error says why the sheet cannot be read at all.
func readSheet(data []byte, form columnSpec) (*sheet, error) {
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

// header reads the columns, in any order.
func (s *sheet) header(number int, line []byte, form columnSpec) error {
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
			s.warnf(c, "column %s is unknown and left out: the columns of %s are %s", quoteCell(c.text), form.noun, strings.Join(known, ","))
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

func (s *sheet) row(number int, line []byte, form columnSpec) {
	r := &row{line: number, cells: map[string]cell{}}
	s.rows = append(s.rows, r)
	cells, fault := split(number, line)
	if fault != nil {
		r.invalid = true
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
		if fault := textFault(c.text); fault != "" {
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

// split splits one line into cells.
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

// textFault says why a cell is not valid text, or "".
func textFault(text string) string {
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

// quoteCell returns a cell for a message: short, and without terminal control characters.
func quoteCell(text string) string {
	if len(text) > 40 {
		text = strings.ToValidUTF8(text[:40], "") + "…"
	}
	return fmt.Sprintf("%q", text)
}
