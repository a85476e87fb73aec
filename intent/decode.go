package intent

import (
	"encoding"
	"encoding/json"
	"reflect"
	"strconv"
	"strings"
)

// customReader is implemented by types with several written forms, such as a port.
type customReader interface {
	read(p *parser, v *value, pointer string)
}

// validator is implemented by types with rules beyond the type of each member.
type validator interface {
	check(p *parser, v *value, pointer string)
}

// decode reads the value of key into noun, a pointer to a struct, and returns all its problems. If they contain an
// error, noun must not be used.
func decode(key string, data []byte, noun any) Problems {
	p := &parser{key: key, data: data}
	if v := p.parse(); v != nil && p.errors == 0 {
		p.decodeInto(v, "", reflect.ValueOf(noun).Elem())
	}
	return p.problems
}

func (p *parser) decodeInto(v *value, pointer string, target reflect.Value) {
	switch noun := target.Addr().Interface().(type) {
	case customReader:
		noun.read(p, v, pointer)
		return
	case *json.RawMessage:
		*noun = json.RawMessage(p.data[v.at:v.end])
		return
	case encoding.TextUnmarshaler:
		if p.expectKind(v, pointer, '"', "a string") {
			if err := noun.UnmarshalText([]byte(v.text)); err != nil {
				p.errorf(v, pointer, "%v", err)
			}
		}
		return
	}
	before := p.errors
	p.decodeKind(v, pointer, target)
	if c, ok := target.Addr().Interface().(validator); ok && p.errors == before {
		c.check(p, v, pointer) // missing members are only known if all members could be read
	}
}

func (p *parser) decodeKind(v *value, pointer string, target reflect.Value) {
	switch target.Kind() {
	case reflect.Pointer:
		target.Set(reflect.New(target.Type().Elem()))
		p.decodeInto(v, pointer, target.Elem())
	case reflect.Struct:
		p.decodeObject(v, pointer, target)
	case reflect.Map:
		p.decodeMap(v, pointer, target)
	case reflect.Slice:
		p.decodeList(v, pointer, target)
	case reflect.String:
		if p.expectKind(v, pointer, '"', "a string") {
			target.SetString(v.text)
		}
	case reflect.Bool:
		if p.expectKind(v, pointer, 't', "true or false") {
			target.SetBool(v.text == "true")
		}
	case reflect.Int:
		target.SetInt(int64(p.decodeInteger(v, pointer)))
	case reflect.Uint64:
		target.SetUint(uint64(max(0, p.decodeInteger(v, pointer))))
	default:
		panic("intent: no decoding into " + target.Type().String())
	}
}

// decodeObject reads members by name. Names match as in 2014: case and underscores do not count, so that minnodes,
// MinNodes and min_nodes are the same.
func (p *parser) decodeObject(v *value, pointer string, target reflect.Value) {
	if !p.expectKind(v, pointer, '{', "an object") {
		return
	}
	fields, seen := fieldIndexes(target.Type()), map[string]bool{}
	for _, m := range v.members {
		below := pointer + "/" + escape(m.name)
		index, known := fields[foldName(m.name)]
		switch {
		case m.name == "$schema" && pointer == "":
		case !known:
			p.warnf(&value{at: m.at}, below, "unknown member %q is ignored%s", truncate(m.name), suggest(m.name, target.Type()))
		case seen[foldName(m.name)]:
			p.errorf(&value{at: m.at}, below, "%q was given before in another spelling: keep one", truncate(m.name))
		case m.value.kind != 'n':
			p.decodeInto(m.value, below, target.FieldByIndex(index))
		}
		seen[foldName(m.name)] = known
	}
}

func (p *parser) decodeMap(v *value, pointer string, target reflect.Value) {
	if !p.expectKind(v, pointer, '{', "an object") {
		return
	}
	target.Set(reflect.MakeMapWithSize(target.Type(), len(v.members)))
	for _, m := range v.members {
		below := pointer + "/" + escape(m.name)
		name := reflect.New(target.Type().Key()).Elem()
		before := p.errors
		if p.decodeInto(&value{at: m.at, kind: '"', text: m.name}, below, name); p.errors > before {
			continue
		}
		element := reflect.New(target.Type().Elem()).Elem()
		p.decodeInto(m.value, below, element)
		target.SetMapIndex(name, element)
	}
}

func (p *parser) decodeList(v *value, pointer string, target reflect.Value) {
	if !p.expectKind(v, pointer, '[', "an array") {
		return
	}
	target.Set(reflect.MakeSlice(target.Type(), len(v.items), len(v.items)))
	for i, item := range v.items {
		p.decodeInto(item, pointer+"/"+strconv.Itoa(i), target.Index(i))
	}
}

func (p *parser) decodeInteger(v *value, pointer string) int {
	if !p.expectKind(v, pointer, '0', "a whole number") {
		return 0
	}
	n, err := strconv.Atoi(v.text)
	if err != nil {
		p.errorf(v, pointer, "%s is not a whole number in range", truncate(v.text))
	}
	return n
}

// expectKind adds an error unless v is of the wanted kind.
func (p *parser) expectKind(v *value, pointer string, kind byte, wanted string) bool {
	if v.kind == kind {
		return true
	}
	found := map[byte]string{'{': "an object", '[': "an array", '"': "the string " + strconv.Quote(truncate(v.text)),
		'0': "the number " + truncate(v.text), 't': v.text, 'n': "null"}[v.kind]
	p.errorf(v, pointer, "%s is expected, found %s", wanted, found)
	return false
}

// truncate keeps a message short whatever the value contains.
func truncate(text string) string {
	if len(text) > 40 {
		return strings.ToValidUTF8(text[:40], "") + "…"
	}
	return text
}

// fieldIndexes returns the field index of each member. Fields of an embedded struct count as members of the outer one,
// as in encoding/json.
func fieldIndexes(t reflect.Type) map[string][]int {
	members := map[string][]int{}
	for _, f := range reflect.VisibleFields(t) {
		if name, _, _ := strings.Cut(f.Tag.Get("json"), ","); name != "" && name != "-" {
			members[foldName(name)] = f.Index
		}
	}
	return members
}

func foldName(name string) string { return strings.ToLower(strings.ReplaceAll(name, "_", "")) }
