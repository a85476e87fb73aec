package parts

import (
	"bytes"
	"encoding/json"
	"unicode/utf8"
)

// maxDepth is how deep brackets may nest before a value counts as opaque.
const maxDepth = 200

// small is how many members are as well looked for one by one.
const small = 16

// Parse takes a value apart. It has no error: what cannot be taken apart is one [Opaque] part.
func Parse(value []byte) Part {
	r := reader{data: value, ok: utf8.Valid(value)}
	r.space()
	p := r.part(0)
	if r.space(); !r.ok || r.at < len(value) {
		return Part{Kind: Opaque, Raw: value}
	}
	return p
}

// Whole takes a value apart like [Parse], with the white space before and after it.
func Whole(value []byte) (lead []byte, p Part, trail []byte) {
	if p = Parse(value); p.Kind == Opaque {
		return nil, p, nil
	}
	from := len(value) - len(bytes.TrimLeft(value, " \t\r\n"))
	return value[:from], p, value[from+len(p.Raw):]
}

// reader reads JSON text. After the first fault ok is false and what it returns is of no use.
type reader struct {
	data []byte
	at   int
	ok   bool
}

func (r *reader) part(depth int) (p Part) {
	from := r.at
	switch r.peek() {
	case '{':
		p = r.group(Object, '}', depth)
	case '[':
		p = r.group(List, ']', depth)
	case '"':
		p = Part{Kind: String, Text: r.quoted()}
	case 't', 'f', 'n':
		p = Part{Kind: Word, Text: r.plain()}
	default:
		p = Part{Kind: Number, Text: r.plain()}
	}
	p.Raw = r.data[min(from, len(r.data)):min(r.at, len(r.data))]
	return p
}

// group reads an object or a list.
func (r *reader) group(kind Kind, closing byte, depth int) Part {
	p := Part{Kind: kind}
	if r.at++; depth >= maxDepth {
		r.ok = false
		return p
	}
	names := map[string]int{}
	lead := r.space()
	if r.peek() == closing {
		r.at++
		p.Tail = lead
		return p
	}
	for r.ok {
		e := Element{Lead: lead}
		if kind == Object {
			e.Name, e.Label = r.label()
			if _, twice := names[e.Name]; twice {
				r.ok = false
			}
			names[e.Name] = len(p.Elements)
		}
		e.Value = r.part(depth + 1)
		e.Trail = r.space()
		p.Elements = append(p.Elements, e)
		next := r.peek()
		if r.at++; next == closing {
			if len(names) > small {
				p.index = names
			}
			return p
		}
		r.ok = r.ok && next == ','
		lead = r.space()
	}
	return p
}

func (r *reader) label() (name string, text []byte) {
	from := r.at
	name = r.quoted()
	r.space()
	r.ok = r.ok && r.peek() == ':'
	r.at++
	r.space()
	return name, r.data[min(from, len(r.data)):min(r.at, len(r.data))]
}

func (r *reader) peek() byte {
	if !r.ok || r.at >= len(r.data) {
		r.ok = false
		return 0
	}
	return r.data[r.at]
}

func (r *reader) space() []byte {
	from := min(r.at, len(r.data))
	for r.at < len(r.data) && bytes.IndexByte([]byte(" \t\r\n"), r.data[r.at]) >= 0 {
		r.at++
	}
	return r.data[from:max(from, min(r.at, len(r.data)))]
}

// quoted reads a string and returns what it says.
func (r *reader) quoted() (text string) {
	from := r.at
	if r.peek() != '"' {
		r.ok = false
		return ""
	}
	for r.at++; r.at < len(r.data) && r.data[r.at] != '"'; r.at++ {
		if r.data[r.at] == '\\' {
			r.at++
		}
	}
	r.at = min(r.at+1, len(r.data))
	r.ok = r.ok && json.Unmarshal(r.data[from:r.at], &text) == nil
	return text
}

// plain reads a number or a word.
func (r *reader) plain() string {
	from := r.at
	for r.at < len(r.data) && bytes.IndexByte([]byte(" \t\r\n,]}"), r.data[r.at]) < 0 {
		r.at++
	}
	text := r.data[min(from, len(r.data)):min(r.at, len(r.data))]
	r.ok = r.ok && json.Valid(text)
	return string(text)
}
