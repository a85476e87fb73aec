package intent

import (
	"encoding"
	"encoding/json"
	"reflect"
	"strconv"
	"strings"
)

// reader is implemented by nouns that are written in more than one form, such as a port.
type reader interface {
	read(p *parser, v *value, pointer string)
}

// checker is implemented by nouns with rules that go beyond the type of each member.
type checker interface {
	check(p *parser, v *value, pointer string)
}

// decode reads the value of key into noun, a pointer to a struct, and returns all that is wrong with it. When the
// problems hold an error, noun must not be used.
func decode(key string, data []byte, noun any) Problems {
	p := &parser{key: key, data: data}
	if v := p.parse(); v != nil && p.errors == 0 {
		p.into(v, "", reflect.ValueOf(noun).Elem())
	}
	return p.problems
}

func (p *parser) into(v *value, pointer string, target reflect.Value) {
	switch noun := target.Addr().Interface().(type) {
	case reader:
		noun.read(p, v, pointer)
		return
	case *json.RawMessage:
		*noun = json.RawMessage(p.data[v.at:v.end])
		return
	case encoding.TextUnmarshaler:
		if p.expect(v, pointer, '"', "a string") {
			if err := noun.UnmarshalText([]byte(v.text)); err != nil {
				p.errorf(v, pointer, "%v", err)
			}
		}
		return
	}
	before := p.errors
	p.byKind(v, pointer, target)
	if c, ok := target.Addr().Interface().(checker); ok && p.errors == before {
		c.check(p, v, pointer) // what a member lacks is only known when all of them could be read
	}
}

func (p *parser) byKind(v *value, pointer string, target reflect.Value) {
	switch target.Kind() {
	case reflect.Pointer:
		target.Set(reflect.New(target.Type().Elem()))
		p.into(v, pointer, target.Elem())
	case reflect.Struct:
		p.object(v, pointer, target)
	case reflect.Map:
		p.mapping(v, pointer, target)
	case reflect.Slice:
		p.list(v, pointer, target)
	case reflect.String:
		if p.expect(v, pointer, '"', "a string") {
			target.SetString(v.text)
		}
	case reflect.Bool:
		if p.expect(v, pointer, 't', "true or false") {
			target.SetBool(v.text == "true")
		}
	case reflect.Int:
		target.SetInt(int64(p.integer(v, pointer)))
	case reflect.Uint64:
		target.SetUint(uint64(max(0, p.integer(v, pointer))))
	default:
		panic("intent: no decoding into " + target.Type().String())
	}
}

// object reads members by name. Names match as in 2014: case and underscores do not count, so that minnodes, MinNodes
// and min_nodes are one.
func (p *parser) object(v *value, pointer string, target reflect.Value) {
	if !p.expect(v, pointer, '{', "an object") {
		return
	}
	fields, seen := membersOf(target.Type()), map[string]bool{}
	for _, m := range v.members {
		below := pointer + "/" + escape(m.name)
		index, known := fields[fold(m.name)]
		switch {
		case m.name == "$schema" && pointer == "":
		case !known:
			p.warnf(&value{at: m.at}, below, "unknown member %q is ignored%s", clip(m.name), suggest(m.name, target.Type()))
		case seen[fold(m.name)]:
			p.errorf(&value{at: m.at}, below, "%q was given before in another spelling: keep one", clip(m.name))
		case m.value.kind != 'n':
			p.into(m.value, below, target.FieldByIndex(index))
		}
		seen[fold(m.name)] = known
	}
}

func (p *parser) mapping(v *value, pointer string, target reflect.Value) {
	if !p.expect(v, pointer, '{', "an object") {
		return
	}
	target.Set(reflect.MakeMapWithSize(target.Type(), len(v.members)))
	for _, m := range v.members {
		below := pointer + "/" + escape(m.name)
		name := reflect.New(target.Type().Key()).Elem()
		before := p.errors
		if p.into(&value{at: m.at, kind: '"', text: m.name}, below, name); p.errors > before {
			continue
		}
		element := reflect.New(target.Type().Elem()).Elem()
		p.into(m.value, below, element)
		target.SetMapIndex(name, element)
	}
}

func (p *parser) list(v *value, pointer string, target reflect.Value) {
	if !p.expect(v, pointer, '[', "an array") {
		return
	}
	target.Set(reflect.MakeSlice(target.Type(), len(v.items), len(v.items)))
	for i, item := range v.items {
		p.into(item, pointer+"/"+strconv.Itoa(i), target.Index(i))
	}
}

func (p *parser) integer(v *value, pointer string) int {
	if !p.expect(v, pointer, '0', "a whole number") {
		return 0
	}
	n, err := strconv.Atoi(v.text)
	if err != nil {
		p.errorf(v, pointer, "%s is not a whole number in range", clip(v.text))
	}
	return n
}

// expect adds an error unless v is of the kind wanted.
func (p *parser) expect(v *value, pointer string, kind byte, wanted string) bool {
	if v.kind == kind {
		return true
	}
	found := map[byte]string{'{': "an object", '[': "an array", '"': "the string " + strconv.Quote(clip(v.text)),
		'0': "the number " + clip(v.text), 't': v.text, 'n': "null"}[v.kind]
	p.errorf(v, pointer, "%s is expected, found %s", wanted, found)
	return false
}

// clip keeps a message short whatever a value holds.
func clip(text string) string {
	if len(text) > 40 {
		return strings.ToValidUTF8(text[:40], "") + "…"
	}
	return text
}

// membersOf returns where the member of each name lies. What an embedded struct holds counts as the outer one's, as in
// encoding/json.
func membersOf(t reflect.Type) map[string][]int {
	members := map[string][]int{}
	for _, f := range reflect.VisibleFields(t) {
		if name, _, _ := strings.Cut(f.Tag.Get("json"), ","); name != "" && name != "-" {
			members[fold(name)] = f.Index
		}
	}
	return members
}

func fold(name string) string { return strings.ToLower(strings.ReplaceAll(name, "_", "")) }
