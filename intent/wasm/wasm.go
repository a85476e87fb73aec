// Package wasm reads what a WebAssembly module asks for and offers, out of its bytes and without running any of it, so
// that one that cannot run as a seed is refused when it is declared and not when it is called.
package wasm

import (
	"bytes"
	"errors"
	"fmt"
	"slices"
	"strings"
)

// PageSize is the unit of linear memory, in bytes.
const PageSize = 64 << 10

// Facts are what a module says of itself.
type Facts struct {
	Imports   []Import
	Exports   []Export // of functions
	MinPages  uint32   // linear memory that it starts with, in pages
	HasMemory bool     // it has a memory of its own
	Extras
	Work     uint64 // the largest product of locals and blocks of a function: no less, and likely more
	Custom   bool   // it has custom sections
	Exported bool   // and exports it under the name "memory"
	CGI      bool   // it holds the words by which a CGI program finds its request
}

// Extras are what an instance has beside its linear memory.
type Extras struct {
	Tables   []Table
	Globals  uint64
	Elements uint64 // in passive segments
}

// Import is one thing that a module wants from its host.
type Import struct {
	Module, Name string
	Kind         string // func, table, memory, global or tag
	Type         string // of a function, such as "(i32 i32) -> (i64)"
}

// Export is one function that a module offers.
type Export struct{ Name, Type string }

// The errors that callers tell apart.
var (
	ErrComponent = errors.New("this is a component, not a core module: build it for wasm32-wasip1, or GOOS=wasip1 GOARCH=wasm, instead of wasip2")
	ErrNotModule = errors.New("this is no WebAssembly module: it does not begin with \\0asm")
)

// The types of functions that matter to seeds.
const (
	Nullary = "() -> ()"
	Entry   = "() -> (i32)" // of a function that can be called as a seed's
)

// Offers reports whether the module exports a function of that name and type.
func (f Facts) Offers(name, kind string) bool { return slices.Contains(f.Exports, Export{name, kind}) }

// Functions are the names of the exports that can be called as a seed's, sorted.
func (f Facts) Functions() (names []string) {
	for _, e := range f.Exports {
		if e.Type == Entry && !strings.HasPrefix(e.Name, "_") {
			names = append(names, e.Name)
		}
	}
	slices.Sort(names)
	return names
}

// Read reads a module. It checks all that it looks at, and of the code of functions only what it takes to compile them.
func Read(module []byte) (facts Facts, err error) {
	r := &reader{data: module}
	defer func() {
		if err != nil {
			facts = Facts{}
		}
	}()
	switch {
	case len(module) < 8 || !bytes.HasPrefix(module, []byte("\x00asm")):
		return facts, ErrNotModule
	case module[6] == 1:
		return facts, ErrComponent
	case !bytes.Equal(module[4:8], []byte{1, 0, 0, 0}):
		return facts, fmt.Errorf("version %d of WebAssembly is not known: 1 is", module[4])
	}
	r.at = 8
	s := sections{facts: &facts}
	for r.at < len(module) && r.err == nil {
		s.one(r)
	}
	if r.err != nil {
		return facts, r.err
	}
	facts.CGI = cgi(module)
	return facts, s.resolve()
}

// cgi goes by the names of the variables: a program can only read a CGI request by asking for them.
func cgi(module []byte) bool {
	if !bytes.Contains(module, []byte("REQUEST_METHOD")) {
		return false
	}
	for _, word := range []string{"SERVER_PROTOCOL", "QUERY_STRING", "PATH_INFO", "GATEWAY_INTERFACE"} {
		if bytes.Contains(module, []byte(word)) {
			return true
		}
	}
	return false
}
