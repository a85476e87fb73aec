package wasm

import (
	"encoding/binary"
	"errors"
	"fmt"
)

// What an instance may have in addition to its linear memory.
const (
	maxTables    = 64       // of one module
	tableGrowth  = 8 << 10  // entries by which all tables of an instance may grow in total
	entrySize    = 8        // bytes of one entry of a table or an element segment
	globalSize   = 96       // bytes of one global
	freeBytes    = 64 << 10 // bytes outside linear memory that are not counted
	elementTypes = "\x70\x6f"
)

// Extra returns the bytes of an instance outside its linear memory: tables at their maximum, globals and elements. The
// first 64 KiB are not counted, because every module has some.
func (f Facts) Extra() int64 {
	entries := f.Elements
	for _, t := range f.Tables {
		entries += t.Least
	}
	if f.growingTables() > 0 {
		entries += tableGrowth
	}
	return max(0, int64(entries*entrySize+f.Globals*globalSize)-freeBytes)
}

// growingTables counts the tables that may grow.
func (f Facts) growingTables() (count uint64) {
	for _, t := range f.Tables {
		if t.grows() {
			count++
		}
	}
	return count
}

// Table is the size of one table, in entries.
type Table struct {
	Type  byte
	Least uint64
	Most  uint64 // only valid if bounded
	Bound bool
}

func (t Table) grows() bool { return !t.Bound || t.Most > t.Least }

// LimitTables returns a module whose tables are bounded, so that together they grow by at most 8,192 entries: nothing
// else limits their growth. The facts must be those of the module. The result is deterministic.
func LimitTables(module []byte, facts Facts) ([]byte, error) {
	growing := facts.growingTables()
	if growing == 0 {
		return module, nil
	}
	limited := append([]byte(nil), module[:8]...)
	for rest := module[8:]; len(rest) > 0; {
		size, n := binary.Uvarint(rest[1:])
		if n <= 0 || size > uint64(len(rest)-1-n) {
			return nil, errors.New("the module is damaged: a section is cut off")
		}
		section := rest[:1+n+int(size)]
		if rest[0] == tableSection {
			body := facts.limitedTables(tableGrowth / growing)
			section = append(binary.AppendUvarint([]byte{tableSection}, uint64(len(body))), body...)
		}
		limited, rest = append(limited, section...), rest[1+n+int(size):]
	}
	return limited, nil
}

// limitedTables returns the body of a table section in which each table grows by at most room entries.
func (f Facts) limitedTables(room uint64) []byte {
	body := binary.AppendUvarint(nil, uint64(len(f.Tables)))
	for _, t := range f.Tables {
		most := t.Least + room
		if t.Bound {
			most = min(most, t.Most)
		}
		body = binary.AppendUvarint(append(body, t.Type, 1), t.Least)
		body = binary.AppendUvarint(body, most)
	}
	return body
}

// table reads a table that the module defines.
func (s *sections) table(r *reader) {
	t := Table{Type: r.byte()}
	if r.err == nil && t.Type != elementTypes[0] && t.Type != elementTypes[1] {
		r.refuse("it has a table of a kind that is not supported: %#x", t.Type)
	}
	flags := r.byte()
	if flags > 1 {
		r.refuse("it has a table of a kind that is not supported: 64-bit or shared")
	}
	t.Least = uint64(r.u32())
	if t.Bound = flags == 1; t.Bound {
		t.Most = uint64(r.u32())
	}
	if t.Bound && t.Most < t.Least {
		r.fail("a table is larger than it may become")
	}
	if s.facts.Tables = append(s.facts.Tables, t); len(s.facts.Tables) > maxTables {
		r.refuse("it has more than %d tables", maxTables)
	}
}

// global reads a global that the module defines.
func (s *sections) global(r *reader) {
	r.byte()
	r.byte()
	r.constant()
	s.facts.Globals++
}

// elements reads an element segment. Only a passive one uses memory of each instance: the others are copied into
// tables, or dropped.
func (s *sections) elements(r *reader) {
	kind := r.u32()
	if kind > 7 {
		r.fail("an element segment is of unknown kind %d", kind)
		return
	}
	passive := kind == 1 || kind == 5
	if kind&1 == 0 { // active
		if kind&2 != 0 {
			r.u32()
		}
		r.constant()
	}
	if kind&3 != 0 {
		r.byte() // the type of its elements
	}
	r.vector(func() {
		if kind&4 != 0 {
			r.constant()
		} else {
			r.u32()
		}
		if passive {
			s.facts.Elements++
		}
	})
}

// code reads the body of a function: its number of locals, and an upper bound of its blocks. The worst compile times
// grow with both.
func (s *sections) code(r *reader) {
	body := &reader{data: r.bytes(r.u32())}
	var locals, blocks uint64
	body.vector(func() {
		locals += uint64(body.u32())
		body.byte()
	})
	for _, b := range body.data[body.at:] {
		if b >= 0x02 && b <= 0x05 { // block, loop, if, else; or part of a number
			blocks++
		}
	}
	if r.err == nil {
		r.err = body.err
	}
	s.facts.Work = max(s.facts.Work, (locals+1)*(blocks+1))
}

// data reads a data segment.
func (s *sections) data(r *reader) {
	switch kind := r.u32(); kind {
	case 0:
		r.constant()
	case 1:
	case 2:
		r.u32()
		r.constant()
	default:
		r.fail("a data segment is of unknown kind %d", kind)
	}
	r.bytes(r.u32())
}

// constant skips a constant expression.
func (r *reader) constant() {
	for r.err == nil {
		switch op := r.byte(); op {
		case 0x0b: // end
			return
		case 0x41, 0x42: // i32.const, i64.const
			r.signed()
		case 0x43: // f32.const
			r.bytes(4)
		case 0x44: // f64.const
			r.bytes(8)
		case 0x23, 0xd2: // global.get, ref.func
			r.u32()
		case 0xd0: // ref.null
			r.byte()
		case 0xfd: // v128.const
			r.u32()
			r.bytes(16)
		case 0x6a, 0x6b, 0x6c, 0x7c, 0x7d, 0x7e: // add, sub, mul
		default:
			r.refuse("it has a constant with the instruction %#x, which is not supported", op)
		}
	}
}

// signed skips a signed LEB128.
func (r *reader) signed() {
	for range 10 {
		if r.byte() < 0x80 {
			return
		}
	}
	r.fail("a number has too many bytes")
}

// refuse records that a valid module cannot run.
func (r *reader) refuse(format string, args ...any) {
	if r.err == nil {
		r.err = fmt.Errorf(format, args...)
	}
}
