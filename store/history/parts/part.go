package parts

import (
	"bytes"
	"slices"
	"strconv"
	"strings"
)

// Kind is the kind of a part.
type Kind byte

// The kinds.
const (
	Object Kind = '{'
	List   Kind = '['
	String Kind = '"'
	Number Kind = '0'
	Word   Kind = 't' // true, false, null
	Opaque Kind = '?' // not JSON; equal only to the same bytes
)

// Part is a JSON value or a piece of one.
type Part struct {
	Kind     Kind
	Raw      []byte    // as written, without surrounding white space
	Text     string    // decoded text of a string; literal text of a number or a word
	Elements []Element // of an object or a list, in order
	Tail     []byte    // white space inside an empty object or list

	index map[string]int // positions of the members of a large object
}

// Element is one member of an object or one item of a list, with the surrounding text.
type Element struct {
	Lead  []byte // white space before it
	Name  string // of a member
	Label []byte // for a member: its name as written and the colon, with white space
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

// Equal reports whether both parts have the same value.
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

// Join builds an object or a list from elements, each with its surrounding text.
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

// Below returns the JSON pointer of a member of the object at pointer.
func Below(pointer, name string) string {
	return pointer + "/" + strings.NewReplacer("~", "~0", "/", "~1").Replace(name)
}

// Item returns the JSON pointer of the i-th item of the list at pointer.
func Item(pointer string, i int) string { return pointer + "/" + strconv.Itoa(i) }

// Covers reports whether the JSON pointer inner names the same part as outer, or one within it.
func Covers(outer, inner string) bool {
	return inner == outer || strings.HasPrefix(inner, outer+"/")
}
