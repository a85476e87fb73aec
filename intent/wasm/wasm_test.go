package wasm

import (
	"errors"
	"strings"
	"testing"

	"github.com/platypus-platform/platypus/intent"
)

// module builds a module from sections, each an id and a body.
func module(sections ...string) []byte {
	m := "\x00asm\x01\x00\x00\x00"
	for _, s := range sections {
		m += s[:1] + string(rune(len(s)-1)) + s[1:]
	}
	return []byte(m)
}

// The pieces of small modules: types () -> () and () -> (i32), functions, a memory of one page, exports.
const (
	types     = "\x01\x02\x60\x00\x00\x60\x00\x01\x7f"
	functions = "\x03\x02\x00\x01"
	memory    = "\x05\x01\x00\x01"
	exports   = "\x07\x02\x03run\x00\x01\x06memory\x02\x00"
	start     = "\x07\x01\x06_start\x00\x00"
)

func TestFit(t *testing.T) {
	for name, c := range map[string]struct {
		module []byte
		seed   intent.Seed
		abi    intent.ABI
		says   string
	}{
		"reactor":        {module(types, functions, memory, exports), intent.Seed{}, intent.ABIReactor, ""},
		"command":        {module(types, functions, memory, start), intent.Seed{}, intent.ABICommand, ""},
		"no command":     {module(types, functions, memory, exports), intent.Seed{Module: intent.Module{ABI: intent.ABICommand}}, "", "it exports run () -> (i32)"},
		"nothing":        {module(), intent.Seed{}, "", "it exports no function"},
		"warm command":   {module(types, functions, memory, start), intent.Seed{Instance: intent.Warm}, "", "can only be fresh"},
		"foreign import": {module(types, "\x02\x01\x03env\x01f\x00\x00"), intent.Seed{}, "", "it imports env.f: only"},
		"extism":         {module(types, "\x02\x01\x0fextism:host/env\x01f\x00\x00"), intent.Seed{}, "", "built for Extism"},
		"memory import":  {module("\x02\x01\x03env\x01m\x02\x00\x01"), intent.Seed{}, "", "only functions can be imported"},
		"unknown pln":    {module(types, "\x02\x01\x03pln\x04open\x00\x00"), intent.Seed{}, "", "which does not exist"},
		"wrong type":     {module(types, "\x02\x01\x03pln\x09input_len\x00\x00"), intent.Seed{}, "", "as () -> (), which is () -> (i32)"},
		"fetch":          {module("\x01\x01\x60\x03\x7f\x7f\x7f\x01\x7e", "\x02\x01\x03pln\x0ahttp_fetch\x00\x00"), intent.Seed{}, "", "grants it nothing to fetch"},
		"large":          {module(types, functions, "\x05\x01\x00\x02", exports), intent.Seed{Bounds: intent.Bounds{Memory: 64 << 10}}, "", "raise it"},
		"hidden memory":  {module(types, functions, memory, "\x07\x01\x03run\x00\x01"), intent.Seed{}, "", "does not export its memory"},
	} {
		f, err := Read(c.module)
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		abi, err := Fit(f, c.seed)
		if abi != c.abi || (err == nil) != (c.says == "") || err != nil && !strings.Contains(err.Error(), c.says) {
			t.Errorf("%s: %q, %v", name, abi, err)
		}
	}
}

func TestDamaged(t *testing.T) {
	if _, err := Read([]byte("\x00asm\x0d\x00\x01\x00")); !errors.Is(err, ErrComponent) {
		t.Errorf("a component: %v", err)
	}
	for name, m := range map[string][]byte{
		"empty": {}, "text": []byte("(module)"), "version 2": []byte("\x00asm\x02\x00\x00\x00"), "gzip": []byte("\x1f\x8b\x08\x00\x00\x00\x00\x00"),
		"order":             module(functions, types),
		"twice":             module(types, types),
		"unknown section":   module("\x63x"),
		"long section":      []byte("\x00asm\x01\x00\x00\x00\x01\xff\xff\xff\xff\x0f"),
		"many types":        module("\x01\xff\xff\xff\xff\x0f"),
		"endless number":    module("\x01\xff\xff\xff\xff\xff\xff\xff"),
		"unknown type":      module(types, "\x03\x01\x07"),
		"export of nothing": module(types, functions, "\x07\x01\x03run\x00\x09"),
		"not UTF-8":         module(types, functions, "\x07\x01\x02\xff\xfe\x00\x00"),
		"too much memory":   module("\x05\x01\x00\x81\x80\x80\x01"),
		"64 bits":           module("\x05\x01\x04\x01"),
		"left over":         module(types + "x"),
		"value type":        module("\x01\x01\x60\x01\x01\x00"),
	} {
		if f, err := Read(m); err == nil {
			t.Errorf("%s: %+v", name, f)
		}
	}
}

// Any input yields the same result twice, without a panic.
func FuzzRead(f *testing.F) {
	for _, seed := range [][]byte{module(types, functions, memory, exports), module(types, functions, memory, start), module("\x01\xff\xff\xff\xff\x0f")} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		a, errA := Read(data)
		b, errB := Read(data)
		if (errA == nil) != (errB == nil) || len(a.Exports) != len(b.Exports) {
			t.Errorf("%v, %v", errA, errB)
		}
		_, _ = Fit(a, intent.Seed{})
	})
}
