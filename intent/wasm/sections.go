package wasm

import (
	"fmt"
	"strings"
	"unicode/utf8"
)

// sections collects the contents of a module's sections, in their order.
type sections struct {
	facts     *Facts
	types     []string
	functions []string // the type of each function, imported ones first
	exports   []export
	last      byte
}

type export struct {
	name  string
	index uint32
}

// The sections that are read, and the kinds of imports and exports.
const (
	typeSection     = 1
	importSection   = 2
	functionSection = 3
	tableSection    = 4
	memorySection   = 5
	globalSection   = 6
	exportSection   = 7
	elementSection  = 9
	codeSection     = 10
	dataSection     = 11
	lastSection     = 13
)

var kinds = []string{"func", "table", "memory", "global", "tag"}

// order is the required order of sections: tags were added last and stand between memories and globals, the data count
// before the code.
var order = []byte{0, 1, 2, 3, 4, 5, 7, 8, 9, 10, 12, 13, 11, 6}

// readSection reads the next section.
func (s *sections) readSection(r *reader) {
	id, size := r.byte(), r.u32()
	body := r.bytes(size)
	if r.err != nil {
		return
	}
	if id > lastSection {
		r.fail("section %d is not known", id)
		return
	}
	if id == 0 {
		s.facts.Custom = true // names and debug information
		return
	}
	if order[id] <= s.last {
		r.fail("section %d stands twice or out of order", id)
		return
	}
	s.last = order[id]
	in := &reader{data: body}
	switch id {
	case typeSection:
		in.vector(func() { s.types = append(s.types, in.functionType()) })
	case importSection:
		in.vector(func() { s.importOne(in) })
	case functionSection:
		in.vector(func() { s.functions = append(s.functions, s.typeAt(in, in.u32())) })
	case tableSection:
		in.vector(func() { s.table(in) })
	case memorySection:
		in.vector(func() { s.memory(in) })
	case globalSection:
		in.vector(func() { s.global(in) })
	case elementSection:
		in.vector(func() { s.elements(in) })
	case codeSection:
		in.vector(func() { s.code(in) })
	case dataSection:
		in.vector(func() { s.data(in) })
	case exportSection:
		in.vector(func() { s.exportOne(in) })
	default:
		return // left to the engine, which reads it before it compiles
	}
	if in.err == nil && in.at != len(body) {
		in.fail("section %d is longer than what it holds", id)
	}
	r.err = in.err
}

func (s *sections) typeAt(r *reader, index uint32) string {
	if int(index) >= len(s.types) {
		r.fail("type %d is not defined", index)
		return ""
	}
	return s.types[index]
}

func (s *sections) importOne(r *reader) {
	i := Import{Module: r.name(), Name: r.name()}
	kind := r.byte()
	if int(kind) >= len(kinds) {
		r.fail("import of unknown kind %d", kind)
		return
	}
	switch i.Kind = kinds[kind]; i.Kind {
	case "func":
		i.Type = s.typeAt(r, r.u32())
		s.functions = append(s.functions, i.Type)
	case "table":
		r.byte()
		if r.byte()&1 != 0 {
			r.u32()
		}
		r.u32()
	case "memory":
		s.facts.MinPages = max(s.facts.MinPages, r.limits())
	case "global":
		r.byte()
		r.byte()
	case "tag":
		r.byte()
		r.u32()
	}
	s.facts.Imports = append(s.facts.Imports, i)
}

func (s *sections) memory(r *reader) {
	s.facts.MinPages = max(s.facts.MinPages, r.limits())
	s.facts.HasMemory = true
}

func (s *sections) exportOne(r *reader) {
	name, kind, index := r.name(), r.byte(), r.u32()
	switch {
	case int(kind) >= len(kinds):
		r.fail("export of unknown kind %d", kind)
	case kinds[kind] == "func":
		s.exports = append(s.exports, export{name, index})
	case kinds[kind] == "memory" && name == "memory":
		s.facts.Exported = true
	}
}

// resolve finds the types of the exports, which may stand anywhere.
func (s *sections) resolve() error {
	for _, e := range s.exports {
		if int(e.index) >= len(s.functions) {
			return fmt.Errorf("export %q is of function %d, which does not exist", e.name, e.index)
		}
		s.facts.Exports = append(s.facts.Exports, Export{e.name, s.functions[e.index]})
	}
	return nil
}

// reader reads the binary format of WebAssembly. After the first error it returns only zeroes.
type reader struct {
	data []byte
	at   int
	err  error
}

func (r *reader) fail(format string, args ...any) {
	if r.err == nil {
		r.err = fmt.Errorf("the module is damaged: "+format, args...)
	}
}

func (r *reader) byte() byte {
	if r.err == nil && r.at >= len(r.data) {
		r.fail("it ends in the middle")
	}
	if r.err != nil {
		return 0
	}
	r.at++
	return r.data[r.at-1]
}

func (r *reader) bytes(n uint32) []byte {
	if r.err == nil && uint64(n) > uint64(len(r.data)-r.at) {
		r.fail("it ends in the middle")
	}
	if r.err != nil {
		return nil
	}
	r.at += int(n)
	return r.data[r.at-int(n) : r.at]
}

// u32 reads LEB128.
func (r *reader) u32() (n uint32) {
	for shift := 0; shift < 35; shift += 7 {
		b := r.byte()
		n |= uint32(b&0x7f) << shift
		if b < 0x80 {
			return n
		}
	}
	r.fail("a number has too many bytes")
	return 0
}

// u64 reads LEB128, for memory limits beyond 32 bits.
func (r *reader) u64() (n uint64) {
	for shift := 0; shift < 70; shift += 7 {
		b := r.byte()
		n |= uint64(b&0x7f) << shift
		if b < 0x80 {
			return n
		}
	}
	r.fail("a number has too many bytes")
	return 0
}

func (r *reader) name() string {
	name := r.bytes(r.u32())
	if !utf8.Valid(name) {
		r.fail("a name is not UTF-8")
	}
	return string(name)
}

// vector reads as many items as announced and stops at the first error, so that a large count alone costs nothing.
func (r *reader) vector(one func()) {
	for n := r.u32(); n > 0 && r.err == nil; n-- {
		one()
	}
}

// limits returns the minimum.
func (r *reader) limits() uint32 {
	flags := r.byte()
	least := r.u64()
	if flags&1 != 0 {
		r.u64()
	}
	if flags&^3 != 0 {
		r.fail("memory of a kind that is not supported: 64-bit or with pages of another size")
	}
	if least > 1<<16 {
		r.fail("a size of %d is beyond what a module may ask for", least)
		return 0
	}
	return uint32(least)
}

var values = map[byte]string{0x7f: "i32", 0x7e: "i64", 0x7d: "f32", 0x7c: "f64", 0x7b: "v128", 0x70: "funcref", 0x6f: "externref"}

// functionType reads a type and formats it as "(i32 i64) -> (i32)".
func (r *reader) functionType() string {
	if form := r.byte(); form != 0x60 {
		r.fail("type of form %#x is not of a function", form)
		return ""
	}
	list := func() string {
		var words []string
		r.vector(func() {
			v := r.byte()
			if values[v] == "" {
				r.fail("value type %#x is not known", v)
			}
			words = append(words, values[v])
		})
		return "(" + strings.Join(words, " ") + ")"
	}
	from := list()
	return from + " -> " + list()
}
