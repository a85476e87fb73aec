package parts

import (
	"bytes"
	"encoding/json"
	"unicode/utf8"
)

// maxDepth is the maximum nesting; deeper values are opaque.
const maxDepth = 200

// indexThreshold is the number of members up to which a linear search is as fast as an index.
const indexThreshold = 16

// Parse parses a value. Invalid JSON becomes one [Opaque] part instead of an error.
func Parse(value []byte) Part {
	r := reader{data: value, ok: utf8.Valid(value)}
	r.skipSpace()
	p := r.readPart(0)
	if r.skipSpace(); !r.ok || r.offset < len(value) {
		return Part{Kind: Opaque, Raw: value}
	}
	return p
}

// Whole parses a value like [Parse], and returns the white space before and after it.
func Whole(value []byte) (lead []byte, p Part, trail []byte) {
	if p = Parse(value); p.Kind == Opaque {
		return nil, p, nil
	}
	from := len(value) - len(bytes.TrimLeft(value, " \t\r\n"))
	return value[:from], p, value[from+len(p.Raw):]
}

// reader reads JSON text. After an error ok is false and the results are meaningless.
type reader struct {
	data   []byte
	offset int
	ok     bool
}

func (r *reader) readPart(depth int) (p Part) {
	from := r.offset
	switch r.peek() {
	case '{':
		p = r.readGroup(Object, '}', depth)
	case '[':
		p = r.readGroup(List, ']', depth)
	case '"':
		p = Part{Kind: String, Text: r.readString()}
	case 't', 'f', 'n':
		p = Part{Kind: Word, Text: r.readScalar()}
	default:
		p = Part{Kind: Number, Text: r.readScalar()}
	}
	p.Raw = r.data[min(from, len(r.data)):min(r.offset, len(r.data))]
	return p
}

// readGroup reads an object or a list.
func (r *reader) readGroup(kind Kind, closing byte, depth int) Part {
	p := Part{Kind: kind}
	if r.offset++; depth >= maxDepth {
		r.ok = false
		return p
	}
	names := map[string]int{}
	lead := r.skipSpace()
	if r.peek() == closing {
		r.offset++
		p.Tail = lead
		return p
	}
	for r.ok {
		e := Element{Lead: lead}
		if kind == Object {
			e.Name, e.Label = r.readLabel()
			if _, duplicate := names[e.Name]; duplicate {
				r.ok = false
			}
			names[e.Name] = len(p.Elements)
		}
		e.Value = r.readPart(depth + 1)
		e.Trail = r.skipSpace()
		p.Elements = append(p.Elements, e)
		next := r.peek()
		if r.offset++; next == closing {
			if len(names) > indexThreshold {
				p.index = names
			}
			return p
		}
		r.ok = r.ok && next == ','
		lead = r.skipSpace()
	}
	return p
}

func (r *reader) readLabel() (name string, text []byte) {
	from := r.offset
	name = r.readString()
	r.skipSpace()
	r.ok = r.ok && r.peek() == ':'
	r.offset++
	r.skipSpace()
	return name, r.data[min(from, len(r.data)):min(r.offset, len(r.data))]
}

func (r *reader) peek() byte {
	if !r.ok || r.offset >= len(r.data) {
		r.ok = false
		return 0
	}
	return r.data[r.offset]
}

func (r *reader) skipSpace() []byte {
	from := min(r.offset, len(r.data))
	for r.offset < len(r.data) && bytes.IndexByte([]byte(" \t\r\n"), r.data[r.offset]) >= 0 {
		r.offset++
	}
	return r.data[from:max(from, min(r.offset, len(r.data)))]
}

// readString reads a string and returns its decoded text.
func (r *reader) readString() (text string) {
	from := r.offset
	if r.peek() != '"' {
		r.ok = false
		return ""
	}
	for r.offset++; r.offset < len(r.data) && r.data[r.offset] != '"'; r.offset++ {
		if r.data[r.offset] == '\\' {
			r.offset++
		}
	}
	r.offset = min(r.offset+1, len(r.data))
	r.ok = r.ok && json.Unmarshal(r.data[from:r.offset], &text) == nil
	return text
}

// readScalar reads a number or a word.
func (r *reader) readScalar() string {
	from := r.offset
	for r.offset < len(r.data) && bytes.IndexByte([]byte(" \t\r\n,]}"), r.data[r.offset]) < 0 {
		r.offset++
	}
	text := r.data[min(from, len(r.data)):min(r.offset, len(r.data))]
	r.ok = r.ok && json.Valid(text)
	return string(text)
}
