// Package inventory reads regions and machines from CSV sheets in the two formats of fly-light, and merges them into
// stored values.
//
// Only listed columns are read. Credentials and key paths are never kept: they are checked for damage, and no part of
// their text appears anywhere, not even in a message.
package inventory

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"

	"github.com/platypus-platform/platypus/intent"
)

// Record is one region or machine that a sheet declares.
type Record struct {
	Key     string  // below the intent prefix, such as "machines/SIN/m1"
	Line    int     // of the sheet
	Fields  []Field // members that the sheet decides, in the order of writing
	Initial []Field // members that apply only to a new key
}

// Field is one member of a value.
type Field struct {
	Name  string
	Value json.RawMessage
}

// Result is what a sheet declares and its problems. A row with an error declares nothing.
type Result struct {
	Records  []Record
	Problems []Problem // in the order of the sheet, at most 100 and a line that says so
	Errors   int       // number of problems that are errors
}

func (s *sheet) read(records []Record) Result {
	slices.SortStableFunc(s.problems, func(a, b Problem) int {
		if a.Line != b.Line {
			return a.Line - b.Line
		}
		return a.Col - b.Col
	})
	r := Result{Records: records, Problems: s.problems}
	for _, p := range s.problems {
		if !p.Warning {
			r.Errors++
		}
	}
	if more := len(r.Problems) - maxProblems; more > 0 {
		last := r.Problems[maxProblems]
		last.Text = fmt.Sprintf("and %d more problems from here on", more)
		r.Problems = append(r.Problems[:maxProblems:maxProblems], last)
	}
	return r
}

// dropDuplicate reports and drops a row whose key an earlier row has.
func (s *sheet) dropDuplicate(seen map[string]int, r *row, at cell, key string) bool {
	if before, twice := seen[key]; twice {
		s.errorf(r, at, "%s stands in line %d already: keep one", quoteCell(at.text), before)
		return false
	}
	seen[key] = r.line
	return true
}

// jsonString encodes a string as JSON.
func jsonString(s string) json.RawMessage {
	raw, err := json.Marshal(s)
	if err != nil {
		panic(err) // strings always encode
	}
	return raw
}

// parseName reads a cell as one segment of a key.
func (s *sheet) parseName(r *row, column string) intent.Name {
	c := r.cells[column]
	name, err := intent.ParseName(c.text)
	if err != nil && c.text != "" {
		s.errorf(r, c, "cell %q: %s is no name: letters, digits and . _ - are allowed, and a letter or digit at its start", column, quoteCell(c.text))
	}
	return name
}

// closestName returns the name in the list that text most likely means, or "".
func closestName(text string, names []string) string {
	for _, name := range names {
		if strings.EqualFold(name, text) || strings.HasPrefix(text, name) || len(text) > 1 && strings.HasPrefix(name, text) {
			return name
		}
	}
	return ""
}
