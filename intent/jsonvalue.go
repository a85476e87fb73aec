package intent

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"unicode/utf8"
)

// Limits of one value.
const (
	MaxValue = 256 << 10 // bytes of a value in the store
	MaxDepth = 32        // nested arrays and objects

	maxProblems = 50 // errors, and warnings, that are reported for one value
)

// value is one parsed JSON value with its position, for error messages.
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

// parser parses the value of a key and collects its problems.
type parser struct {
	key      string
	data     []byte
	decoder  *json.Decoder
	path     []string // the path to the current value; joined only to report a problem
	problems Problems
	errors   int // number of errors, including those that were not recorded
	warnings int
}

// parse returns the value, or nil if data is not acceptable JSON.
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
	if err := json.Unmarshal(p.data, new(json.RawMessage)); err != nil {
		p.syntaxError(err)
		return nil
	}
	p.decoder = json.NewDecoder(bytes.NewReader(p.data))
	p.decoder.UseNumber()
	v, err := p.value()
	if err != nil {
		return nil // too deep, and reported
	}
	return v
}

var errTooDeep = errors.New("too deep")

// syntaxError reports a JSON syntax error at the offset where the scan stopped.
func (p *parser) syntaxError(err error) {
	var syn *json.SyntaxError
	at := 0
	if errors.As(err, &syn) {
		at = max(0, int(syn.Offset)-1)
	}
	if strings.HasPrefix(err.Error(), "unexpected end") {
		at, err = len(p.data), errors.New("it ends in the middle")
	}
	p.errorf(&value{at: at}, "", "value is not JSON: %v", err)
}

// tokenOffset returns the offset of the next token: the decoder stands before white space and separators.
func (p *parser) tokenOffset() int {
	at := int(p.decoder.InputOffset())
	for at < len(p.data) && strings.IndexByte(" \t\r\n,:", p.data[at]) >= 0 {
		at++
	}
	return at
}

func (p *parser) value() (*value, error) {
	v := &value{at: p.tokenOffset()}
	token, err := p.decoder.Token()
	if err != nil {
		return nil, err
	}
	switch t := token.(type) {
	case json.Delim:
		v.kind = byte(t)
		if err = p.readContents(v); err != nil {
			return nil, err
		}
	case string:
		v.kind, v.text = '"', t
	case json.Number:
		v.kind, v.text = '0', t.String()
	case bool:
		v.kind, v.text = 't', strconv.FormatBool(t)
	default:
		v.kind = 'n'
	}
	v.end = int(p.decoder.InputOffset())
	return v, nil
}

// readContents reads the contents of an array or object up to its end.
func (p *parser) readContents(v *value) (err error) {
	if len(p.path) >= MaxDepth {
		p.errorf(v, "", "value has more than %d levels of arrays and objects", MaxDepth)
		return errTooDeep
	}
	last := len(p.path)
	p.path = append(p.path, "")
	defer func() { p.path = p.path[:last] }()
	seen := map[string]bool{}
	for p.decoder.More() {
		if v.kind == '[' {
			p.path[last] = strconv.Itoa(len(v.items))
			item, err := p.value()
			if err != nil {
				return err
			}
			v.items = append(v.items, item)
			continue
		}
		m := member{at: p.tokenOffset()}
		token, err := p.decoder.Token()
		if err != nil {
			return err
		}
		m.name, _ = token.(string)
		p.path[last] = m.name
		if seen[m.name] {
			p.errorf(&value{at: m.at}, p.pointer(), "%q stands here twice: keep one", truncate(m.name))
		}
		seen[m.name] = true
		if m.value, err = p.value(); err != nil {
			return err
		}
		v.members = append(v.members, m)
	}
	_, err = p.decoder.Token()
	return err
}

// pointer returns the JSON pointer of the current value.
func (p *parser) pointer() string {
	var b strings.Builder
	for _, name := range p.path {
		b.WriteString("/" + escape(name))
	}
	return b.String()
}

// errorf adds an error about v, which may be nil for the whole value.
func (p *parser) errorf(v *value, pointer, format string, args ...any) {
	p.addProblem(v, pointer, false, fmt.Sprintf(format, args...))
}

func (p *parser) warnf(v *value, pointer, format string, args ...any) {
	p.addProblem(v, pointer, true, fmt.Sprintf(format, args...))
}

// addProblem records a problem, up to the limit: a value with thousands of mistakes must not flood logs and reports.
func (p *parser) addProblem(v *value, pointer string, warning bool, text string) {
	many := &p.errors
	if warning {
		many = &p.warnings
	}
	switch *many++; {
	case *many == maxProblems+1:
		v, pointer, text = nil, "", "there are more problems like these: only the first are told"
	case *many > maxProblems:
		return
	}
	problem := Problem{Key: p.key, Pointer: pointer, Text: text, Warning: warning}
	if v != nil {
		before := p.data[:v.at]
		problem.Line = 1 + bytes.Count(before, []byte("\n"))
		problem.Col = v.at - bytes.LastIndexByte(before, '\n')
	}
	p.problems = append(p.problems, problem)
}

// escape converts a member name to a segment of a JSON pointer. A name is at most as long as the value.
func escape(name string) string {
	if !strings.ContainsAny(name, "~/") {
		return name
	}
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
