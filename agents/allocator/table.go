package main

import (
	"strings"

	"github.com/platypus-platform/platypus/intent"
	"github.com/platypus-platform/platypus/store"
)

// table is what stands below one prefix, as far as is known: what was watched, and what was written since.
type table[T any] struct {
	prefix intent.Prefix
	parse  func(intent.Pair) (T, string)
	rows   map[string]row[T] // by what follows the prefix
	index  uint64            // of the snapshot taken last; 0: none was
	heard  func(rest string) // if set, called for a row that is new to a table that was known
}

type row[T any] struct {
	noun  T
	index uint64 // ModifyIndex
	fault string // why the value cannot be used
	gone  bool   // it was removed after the snapshot taken last
}

func newTable[T any](prefix intent.Prefix) *table[T] {
	return &table[T]{prefix: prefix, rows: map[string]row[T]{}, parse: func(p intent.Pair) (T, string) {
		noun, problems := intent.Decode[T](p.Key, p.Value)
		if err := problems.Err(); err != nil {
			return noun, err.Error()
		}
		return noun, ""
	}}
}

// take brings the table up to a snapshot. A row that is newer than the snapshot stays.
func (t *table[T]) take(s store.Snapshot) {
	if s.Index < t.index {
		clear(t.rows) // another store, or an older state of it: nothing that was known counts
	}
	known := t.known()
	t.index = s.Index
	seen := 0
	for _, p := range s.Pairs {
		rest, is := t.rowOf(p)
		if !is {
			continue
		}
		seen++
		if have, there := t.rows[rest]; !there || have.index < p.ModifyIndex {
			t.put(rest, p)
			if t.heard != nil && known {
				t.heard(rest)
			}
		}
	}
	if seen < len(t.rows) {
		t.drop(s)
	}
}

// drop removes the rows that a snapshot lacks.
func (t *table[T]) drop(s store.Snapshot) {
	there := make(map[string]bool, len(s.Pairs))
	for _, p := range s.Pairs {
		if rest, is := t.rowOf(p); is {
			there[rest] = true
		}
	}
	for rest, have := range t.rows {
		if !there[rest] && have.index <= s.Index {
			delete(t.rows, rest)
		}
	}
}

// rowOf is where a pair belongs in the table, if it does.
func (t *table[T]) rowOf(p intent.Pair) (rest string, is bool) {
	rest, is = t.prefix.Below(p.Key)
	return rest, is && (len(p.Value) > 0 || !strings.HasSuffix(p.Key, "/"))
}

func (t *table[T]) put(rest string, p intent.Pair) {
	noun, fault := t.parse(p)
	t.rows[rest] = row[T]{noun: noun, index: p.ModifyIndex, fault: fault}
}

// note takes over one pair that was read or written by itself.
func (t *table[T]) note(n news) (mine bool) {
	rest, mine := t.prefix.Below(n.pair.Key)
	noun, written := n.noun.(T)
	switch {
	case !mine:
	case n.found && written:
		t.rows[rest] = row[T]{noun: noun, index: n.pair.ModifyIndex}
	case n.found:
		t.put(rest, n.pair)
	default:
		have := t.rows[rest]
		have.gone, have.index = true, max(have.index+1, n.pair.ModifyIndex)
		t.rows[rest] = have
	}
	return mine
}

func (t *table[T]) get(rest string) (row[T], bool) {
	r, ok := t.rows[rest]
	return r, ok && !r.gone
}

func (t *table[T]) known() bool         { return t.index > 0 }
func (t *table[T]) from() intent.Prefix { return t.prefix }
