// Package parts takes a JSON value apart without losing a byte of it, so that two values can be compared and merged
// member by member and put together again in the layout that a person gave them.
//
// Strings count by what they say, numbers by their text (1 and 1.0 differ, and no digit of a long one is lost), members
// of an object without regard to their order. What is not JSON, or names a member twice, is one piece: [Opaque].
package parts

import (
	"bytes"
	"slices"
	"strconv"
	"strings"
)

// Kind is what a part is.
type Kind byte

// The kinds.
const (
	Object Kind = '{'
	List   Kind = '['
	String Kind = '"'
	Number Kind = '0'
	Word   Kind = 't' // true, false, null
	Opaque Kind = '?' // not JSON: only equal to the same bytes
)

// Part is a JSON value or a piece of one.
type Part struct {
	Kind     Kind
	Raw      []byte    // as it was written, without the white space around it
	Text     string    // of a string what it says, of a number and a word its text
	Elements []Element // of an object or a list, in their order
	Tail     []byte    // white space between the opening bracket and the closing one when there is no element

	index map[string]int // of a large object, where each member is
}

// Element is one member of an object or one item of a list, with the text around it.
type Element struct {
	Lead  []byte // white space before it
	Name  string // of a member
	Label []byte // of a member its name as written, the colon, and the white space around that
	Value Part
	Trail []byte // white space after it, before the comma or the closing bracket
}

// Get returns the member of that name.
func (p Part) Get(name string) (Part, bool) {
	if p.Kind != Object {
		return Part{}, false
	}
	if p.index != nil {
		i, ok := p.index[name]
		if !ok {
			return Part{}, false
		}
		return p.Elements[i].Value, true
	}
	for _, e := range p.Elements {
		if e.Name == name {
			return e.Value, true
		}
	}
	return Part{}, false
}

// Equal reports whether both say the same.
func (p Part) Equal(o Part) bool {
	if p.Kind != o.Kind || len(p.Elements) != len(o.Elements) {
		return false
	}
	switch p.Kind {
	case Object:
		return !slices.ContainsFunc(p.Elements, func(e Element) bool {
			other, ok := o.Get(e.Name)
			return !ok || !e.Value.Equal(other)
		})
	case List:
		return slices.EqualFunc(p.Elements, o.Elements, func(a, b Element) bool { return a.Value.Equal(b.Value) })
	case Opaque:
		return bytes.Equal(p.Raw, o.Raw)
	}
	return p.Text == o.Text
}

// Join puts an object or a list together out of elements, each with the text that surrounds it.
func Join(kind Kind, elements []Element, tail []byte) Part {
	closing := map[Kind]byte{Object: '}', List: ']'}[kind]
	raw := []byte{byte(kind)}
	for i, e := range elements {
		if i > 0 {
			raw = append(raw, ',')
		}
		for _, text := range [][]byte{e.Lead, e.Label, e.Value.Raw, e.Trail} {
			raw = append(raw, text...)
		}
	}
	if len(elements) == 0 {
		raw = append(raw, tail...)
	}
	return Part{Kind: kind, Raw: append(raw, closing), Elements: elements, Tail: tail}
}

// Below returns the JSON pointer of the member of that name below pointer.
func Below(pointer, name string) string {
	return pointer + "/" + strings.NewReplacer("~", "~0", "/", "~1").Replace(name)
}

// Item returns the JSON pointer of the i-th item below pointer.
func Item(pointer string, i int) string { return pointer + "/" + strconv.Itoa(i) }

// Covers reports whether the JSON pointer inner names the same part as outer, or one within it.
func Covers(outer, inner string) bool {
	return inner == outer || strings.HasPrefix(inner, outer+"/")
}
