package intent

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"
	"unicode/utf8"
)

// Bounds of one value.
const (
	MaxValue = 256 << 10 // bytes of a value in the store
	MaxDepth = 32        // arrays and objects within each other
)

// value is one parsed JSON value that remembers where it stood, so that a mistake in it can be shown.
type value struct {
	at      int  // offset of its first byte
	end     int  // offset after its last byte
	kind    byte // one of { [ " 0 t n
	text    string
	members []member
	items   []*value
}

type member struct {
	name  string
	at    int
	value *value
}

// parser reads one value of a key into a tree and collects what is wrong with it.
type parser struct {
	key      string
	data     []byte
	dec      *json.Decoder
	problems Problems
}

// parse returns the value, or nil when data is not JSON that may be trusted.
func (p *parser) parse() *value {
	switch {
	case len(p.data) > MaxValue:
		p.errorf(nil, "", "value of %d bytes is too large: at most %d are allowed", len(p.data), MaxValue)
		return nil
	case len(bytes.TrimSpace(p.data)) == 0:
		p.errorf(nil, "", "value is empty: a JSON object is expected")
		return nil
	case bytes.HasPrefix(p.data, []byte("\xef\xbb\xbf")):
		p.errorf(nil, "", "value begins with a byte order mark: save it as plain UTF-8")
		return nil
	case !utf8.Valid(p.data):
		p.errorf(&value{at: invalidUTF8(p.data)}, "", "value is not valid UTF-8")
		return nil
	}
	p.dec = json.NewDecoder(bytes.NewReader(p.data))
	p.dec.UseNumber()
	v, err := p.value("", 0)
	if err == nil {
		if _, more := p.dec.Token(); more != io.EOF {
			p.errorf(&value{at: p.start()}, "", "something follows the value: one JSON value is expected")
		}
		return v
	}
	p.syntax(err)
	return nil
}

var errTooDeep = fmt.Errorf("more than %d levels of arrays and objects", MaxDepth)

func (p *parser) syntax(err error) {
	at := int(p.dec.InputOffset())
	var syn *json.SyntaxError
	if errors.As(err, &syn) {
		at = int(syn.Offset) - 1
	}
	if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
		at, err = len(p.data), errors.New("it ends in the middle")
	}
	p.errorf(&value{at: max(0, min(at, len(p.data)))}, "", "value is not JSON: %s", strings.TrimPrefix(err.Error(), "json: "))
}

// start returns the offset of the next token: the decoder stands before white space and separators.
func (p *parser) start() int {
	at := int(p.dec.InputOffset())
	for at < len(p.data) && strings.IndexByte(" \t\r\n,:", p.data[at]) >= 0 {
		at++
	}
	return at
}

func (p *parser) value(pointer string, depth int) (*value, error) {
	if depth > MaxDepth {
		return nil, errTooDeep
	}
	v := &value{at: p.start()}
	token, err := p.dec.Token()
	if err != nil {
		return nil, err
	}
	switch t := token.(type) {
	case json.Delim:
		v.kind = byte(t)
		if err = p.inside(v, pointer, depth); err != nil {
			return nil, err
		}
	case string:
		v.kind, v.text = '"', t
	case json.Number:
		v.kind, v.text = '0', t.String()
	case bool:
		v.kind, v.text = 't', fmt.Sprint(t)
	default:
		v.kind = 'n'
	}
	v.end = int(p.dec.InputOffset())
	return v, nil
}

func (p *parser) inside(v *value, pointer string, depth int) error {
	seen := map[string]bool{}
	for p.dec.More() {
		if v.kind == '[' {
			item, err := p.value(fmt.Sprintf("%s/%d", pointer, len(v.items)), depth+1)
			if err != nil {
				return err
			}
			v.items = append(v.items, item)
			continue
		}
		m := member{at: p.start()}
		token, err := p.dec.Token()
		if err != nil {
			return err
		}
		m.name, _ = token.(string)
		below := pointer + "/" + escape(m.name)
		if seen[m.name] {
			p.errorf(&value{at: m.at}, below, "%q stands here twice: keep one", m.name)
		}
		seen[m.name] = true
		if m.value, err = p.value(below, depth+1); err != nil {
			return err
		}
		v.members = append(v.members, m)
	}
	_, err := p.dec.Token()
	return err
}

// errorf adds an error about v, which may be nil for the value as a whole.
func (p *parser) errorf(v *value, pointer, format string, args ...any) {
	p.add(v, pointer, false, fmt.Sprintf(format, args...))
}

func (p *parser) warnf(v *value, pointer, format string, args ...any) {
	p.add(v, pointer, true, fmt.Sprintf(format, args...))
}

func (p *parser) add(v *value, pointer string, warning bool, text string) {
	problem := Problem{Key: p.key, Pointer: pointer, Text: text, Warning: warning}
	if v != nil {
		before := p.data[:v.at]
		problem.Line = 1 + bytes.Count(before, []byte("\n"))
		problem.Col = v.at - bytes.LastIndexByte(before, '\n')
	}
	p.problems = append(p.problems, problem)
}

func escape(name string) string {
	return strings.NewReplacer("~", "~0", "/", "~1").Replace(name)
}

func invalidUTF8(data []byte) int {
	for at := 0; at < len(data); {
		r, size := utf8.DecodeRune(data[at:])
		if r == utf8.RuneError && size == 1 {
			return at
		}
		at += size
	}
	return 0
}
