package intent

import (
	"fmt"
	"strings"
)

// Problem is one thing wrong with a value, and where.
type Problem struct {
	Key     string `json:"key"`               // the key whose value this is about
	Pointer string `json:"pointer,omitempty"` // JSON pointer to the member, "" for the whole value
	Line    int    `json:"line,omitempty"`    // from 1; 0 when the whole value is meant
	Col     int    `json:"col,omitempty"`     // from 1, in bytes
	Text    string `json:"text"`              // what is wrong and what would be right
	Warning bool   `json:"warning,omitempty"` // the value is usable all the same
}

// Error says where and what, in one line.
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

// Problems is all that is wrong with one or more values.
type Problems []Problem

// Errors returns those that make a value unusable.
func (ps Problems) Errors() Problems { return ps.filter(false) }

// Warnings returns those that do not.
func (ps Problems) Warnings() Problems { return ps.filter(true) }

func (ps Problems) filter(warning bool) (picked Problems) {
	for _, p := range ps {
		if p.Warning == warning {
			picked = append(picked, p)
		}
	}
	return picked
}

// Err returns the errors as one error, or nil when there are only warnings.
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
