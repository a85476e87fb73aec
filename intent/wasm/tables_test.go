package wasm

import (
	"bytes"
	"strings"
	"testing"

	"github.com/platypus-platform/platypus/intent"
)

// Tables, globals and passive elements use memory of an instance.
func TestExtra_CountsWhatIsNotLinearMemory(t *testing.T) {
	table := func(limits string) string { return "\x04\x01\x70" + limits }
	for name, c := range map[string]struct {
		module []byte
		extra  int64
		says   string // the refusal by a seed with 1 MiB of memory
	}{
		"no table":      {module(types, functions, memory, exports), 0, ""},
		"small table":   {module(types, functions, table("\x00\x01"), memory, exports), 8, ""},
		"large table":   {module(types, functions, table("\x01\x80\x80\x10\x80\x80\x10"), memory, exports), 2<<20 - freeBytes, "raise it"},
		"may grow":      {module(types, functions, table("\x01\x01\x80\x80\x10"), memory, exports), 8, ""},
		"many globals":  {module(types, functions, memory, "\x06\x14"+strings.Repeat("\x7f\x01\x41\x00\x0b", 20), exports), 0, ""},
		"passive":       {module(types, functions, memory, exports, "\x09\x01\x01\x00\x02\x00\x00"), 0, ""},
		"active":        {module(types, functions, table("\x00\x01"), memory, exports, "\x09\x01\x00\x41\x00\x0b\x01\x00"), 8, ""},
		"expressions":   {module(types, functions, table("\x00\x01"), memory, exports, "\x09\x01\x05\x70\x02\xd2\x00\x0b\xd0\x70\x0b"), 24, ""},
		"data segments": {module(types, functions, memory, exports, "\x0b\x02\x00\x41\x00\x0b\x02hi\x01\x02ho"), 0, ""},
	} {
		f, err := Read(c.module)
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		if f.Extra() != c.extra {
			t.Errorf("%s: %d bytes, want %d", name, f.Extra(), c.extra)
		}
		_, err = Fit(f, intent.Seed{Bounds: intent.Bounds{Memory: 1 << 20}})
		if (err == nil) != (c.says == "") || err != nil && !strings.Contains(err.Error(), c.says) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// A growing table is bounded, and nothing else of the module changes.
func TestLimitTables_BoundsGrowth(t *testing.T) {
	for _, c := range []struct{ tables, limited string }{
		{"\x04\x01\x70\x00\x01", "\x04\x01\x70\x01\x01\x81\x40"},
		{"\x04\x01\x70\x01\x01\xff\xff\xff\xff\x0f", "\x04\x01\x70\x01\x01\x81\x40"},
		{"\x04\x01\x70\x01\x01\x05", "\x04\x01\x70\x01\x01\x05"},
		{"\x04\x02\x70\x00\x01\x6f\x00\x02", "\x04\x02\x70\x01\x01\x81\x20\x6f\x01\x02\x82\x20"},
		{"\x04\x01\x70\x01\x09\x09", "\x04\x01\x70\x01\x09\x09"},
	} {
		before := module(types, functions, c.tables, memory, exports)
		f, err := Read(before)
		if err != nil {
			t.Fatal(err)
		}
		after, err := LimitTables(before, f)
		if err != nil || !bytes.Equal(after, module(types, functions, c.limited, memory, exports)) {
			t.Errorf("%q becomes %q: %v", c.tables, after, err)
		}
		again, err := Read(after)
		if twice, err2 := LimitTables(after, again); err != nil || err2 != nil || again.growingTables() > 0 && !bytes.Equal(after, twice) {
			t.Errorf("%q a second time: %q, %v, %v", c.tables, twice, err, err2)
		}
	}
}

// An engine that trusted such a count would allocate gigabytes.
func TestRead_RefusesCountsBeyondTheSection(t *testing.T) {
	const many = "\xff\xff\xff\xff\x0f"
	for name, m := range map[string][]byte{
		"types": module("\x01" + many), "tables": module("\x04" + many), "globals": module("\x06" + many),
		"elements":     module("\x09" + many),
		"element":      module("\x09\x01\x01\x00" + many),
		"expressions":  module("\x09\x01\x05\x70" + many),
		"data":         module("\x0b" + many),
		"data segment": module("\x0b\x01\x01" + many + "x"),
		"functions":    module(types, "\x03"+many),
		"bodies":       module(types, functions, "\x0a"+many),
		"locals":       module(types, "\x03\x01\x00", "\x0a\x01\x08"+many+"\x7f\x0b"),
		"table kind":   module("\x04\x01\x7f\x00\x01"),
		"table bound":  module("\x04\x01\x70\x01\x05\x01"),
		"many tables":  module("\x04\x41" + strings.Repeat("\x70\x00\x01", 65)),
		"constant":     module("\x06\x01\x7f\x00\x10\x00\x0b"),
	} {
		if f, err := Read(m); err == nil {
			t.Errorf("%s: %+v", name, f)
		}
	}
}
