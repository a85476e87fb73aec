// Package inventory reads regions and machines out of sheets of comma-separated values, in the two shapes that fly-light
// keeps, and says what of the store would change.
//
// Columns are taken by name from a list. Credentials and paths of keys are in no list of what is kept: they are looked
// at for damage, and neither their text nor a part of it goes anywhere, not even into a message.
package inventory

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"

	"github.com/platypus-platform/platypus/intent"
)

// Record is one region or machine as a sheet declares it.
type Record struct {
	Key     string  // below the intent prefix, such as "machines/SIN/m1"
	Line    int     // of the sheet
	Fields  []Field // what the sheet decides, in the order in which it is written
	Initial []Field // what holds only while the store says nothing yet
}

// Field is one member of a value.
type Field struct {
	Name  string
	Value json.RawMessage
}

// Read is what a sheet declares and what is wrong with it. A row with an error declares nothing.
type Read struct {
	Records  []Record
	Problems []Problem // in the order of the sheet, at most a hundred and a line that says so
	Errors   int       // among all problems
}

func (s *sheet) read(records []Record) Read {
	slices.SortStableFunc(s.problems, func(a, b Problem) int {
		if a.Line != b.Line {
			return a.Line - b.Line
		}
		return a.Col - b.Col
	})
	r := Read{Records: records, Problems: s.problems}
	for _, p := range s.problems {
		if !p.Warning {
			r.Errors++
		}
	}
	if more := len(r.Problems) - maxTold; more > 0 {
		last := r.Problems[maxTold]
		last.Text = fmt.Sprintf("and %d more problems from here on", more)
		r.Problems = append(r.Problems[:maxTold:maxTold], last)
	}
	return r
}

// once tells of a row whose key an earlier row has, and drops it.
func (s *sheet) once(seen map[string]int, r *row, at cell, key string) bool {
	if before, twice := seen[key]; twice {
		s.errorf(r, at, "%s stands in line %d already: keep one", shown(at.text), before)
		return false
	}
	seen[key] = r.line
	return true
}

// text is a string as a JSON value.
func text(s string) json.RawMessage {
	raw, err := json.Marshal(s)
	if err != nil {
		panic(err) // a string can always be written
	}
	return raw
}

// name reads a cell as one segment of a key.
func (s *sheet) name(r *row, column string) intent.Name {
	c := r.cells[column]
	name, err := intent.ParseName(c.text)
	if err != nil && c.text != "" {
		s.errorf(r, c, "cell %q: %s is no name: letters, digits and . _ - are allowed, and a letter or digit at its start", column, shown(c.text))
	}
	return name
}

// similar returns the name of the list that text most likely means, or "".
func similar(text string, names []string) string {
	for _, name := range names {
		if strings.EqualFold(name, text) || strings.HasPrefix(text, name) || len(text) > 1 && strings.HasPrefix(name, text) {
			return name
		}
	}
	return ""
}
