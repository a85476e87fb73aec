package intent

import (
	"fmt"
	"strings"
)

// Problem is one problem of a value and its position.
type Problem struct {
	Key     string `json:"key"`               // the key whose value this is about
	Pointer string `json:"pointer,omitempty"` // JSON pointer to the member, "" for the whole value
	Line    int    `json:"line,omitempty"`    // from 1; 0 for the whole value
	Col     int    `json:"col,omitempty"`     // from 1, in bytes
	Text    string `json:"text"`              // what is wrong and what would be correct
	Warning bool   `json:"warning,omitempty"` // the value is still usable
}

// Error returns position and problem in one line.
func (p Problem) Error() string {
	var b strings.Builder
	b.WriteString(p.Key)
	if p.Line > 0 {
		fmt.Fprintf(&b, ":%d:%d", p.Line, p.Col)
	}
	if p.Pointer != "" {
		fmt.Fprintf(&b, " %s", p.Pointer)
	}
	return b.String() + ": " + p.Text
}

// Problems are the problems of one or more values.
type Problems []Problem

// Errors returns the problems that make a value unusable.
func (ps Problems) Errors() Problems { return ps.filter(false) }

// Warnings returns the others.
func (ps Problems) Warnings() Problems { return ps.filter(true) }

func (ps Problems) filter(warning bool) (picked Problems) {
	for _, p := range ps {
		if p.Warning == warning {
			picked = append(picked, p)
		}
	}
	return picked
}

// Err returns the errors as one error, or nil if there are only warnings.
func (ps Problems) Err() error {
	errs := ps.Errors()
	switch len(errs) {
	case 0:
		return nil
	case 1:
		return errs[0]
	}
	return fmt.Errorf("%w (and %d more)", errs[0], len(errs)-1)
}
