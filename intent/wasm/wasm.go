// Package wasm reads the imports and exports of a WebAssembly module from its bytes, without running it, so that a
// module that cannot run as a seed is refused at its declaration instead of its first call.
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

// Facts are the properties of a module.
type Facts struct {
	Imports   []Import
	Exports   []Export // of functions
	MinPages  uint32   // initial linear memory, in pages
	HasMemory bool     // it defines a memory
	Extras
	Work     uint64 // the largest product of locals and blocks of a function; an upper bound
	Custom   bool   // it has custom sections
	Exported bool   // and exports it under the name "memory"
	CGI      bool   // it contains the names of the variables that a CGI program reads
}

// Extras are what an instance has in addition to its linear memory.
type Extras struct {
	Tables   []Table
	Globals  uint64
	Elements uint64 // in passive segments
}

// Import is one import of a module.
type Import struct {
	Module, Name string
	Kind         string // func, table, memory, global or tag
	Type         string // of a function, such as "(i32 i32) -> (i64)"
}

// Export is one function that a module exports.
type Export struct{ Name, Type string }

// The errors that callers distinguish.
var (
	ErrComponent = errors.New("this is a component, not a core module: build it for wasm32-wasip1, or GOOS=wasip1 GOARCH=wasm, instead of wasip2")
	ErrNotModule = errors.New("this is no WebAssembly module: it does not begin with \\0asm")
)

// The types of functions that matter to seeds.
const (
	Nullary = "() -> ()"
	Entry   = "() -> (i32)" // of a function that can be called as one of a seed
)

// Offers reports whether the module exports a function of that name and type.
func (f Facts) Offers(name, kind string) bool { return slices.Contains(f.Exports, Export{name, kind}) }

// Functions returns the exports that can be called as functions of a seed, sorted.
func (f Facts) Functions() (names []string) {
	for _, e := range f.Exports {
		if e.Type == Entry && !strings.HasPrefix(e.Name, "_") {
			names = append(names, e.Name)
		}
	}
	slices.Sort(names)
	return names
}

// Read reads a module. It validates everything that it reads; of function bodies it reads only what determines their
// compile time.
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
		s.readSection(r)
	}
	if r.err != nil {
		return facts, r.err
	}
	facts.CGI = usesCGI(module)
	return facts, s.resolve()
}

// usesCGI searches for the names of the variables: a program needs them to read a CGI request.
func usesCGI(module []byte) bool {
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
