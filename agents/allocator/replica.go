package main

import (
	"strings"

	"github.com/platypus-platform/platypus/intent"
	"github.com/platypus-platform/platypus/store"
)

// replica is the known state below one prefix: the last snapshot plus later writes.
type replica[T any] struct {
	prefix  intent.Prefix
	parse   func(intent.Pair) (T, string)
	entries map[string]entry[T] // by key relative to the prefix
	index   uint64              // of the last snapshot; 0: none yet
	onNew   func(rest string)   // optional; called for a changed entry of a loaded replica
}

type entry[T any] struct {
	value T
	index uint64 // ModifyIndex
	fault string // why the value is invalid
	gone  bool   // deleted after the last snapshot
}

func newReplica[T any](prefix intent.Prefix) *replica[T] {
	return &replica[T]{prefix: prefix, entries: map[string]entry[T]{}, parse: func(p intent.Pair) (T, string) {
		noun, problems := intent.Decode[T](p.Key, p.Value)
		if err := problems.Err(); err != nil {
			return noun, err.Error()
		}
		return noun, ""
	}}
}

// replace applies a snapshot. Entries newer than the snapshot are kept.
func (r *replica[T]) replace(s store.Snapshot) {
	if s.Index < r.index {
		clear(r.entries) // another store, or one restored from a backup: drop everything known
	}
	known := r.loaded()
	r.index = s.Index
	seen := 0
	for _, p := range s.Pairs {
		rest, is := r.entryKey(p)
		if !is {
			continue
		}
		seen++
		if have, there := r.entries[rest]; !there || have.index < p.ModifyIndex {
			r.put(rest, p)
			if r.onNew != nil && known {
				r.onNew(rest)
			}
		}
	}
	if seen < len(r.entries) {
		r.removeMissing(s)
	}
}

// removeMissing deletes the entries that a snapshot lacks, except newer ones.
func (r *replica[T]) removeMissing(s store.Snapshot) {
	there := make(map[string]bool, len(s.Pairs))
	for _, p := range s.Pairs {
		if rest, is := r.entryKey(p); is {
			there[rest] = true
		}
	}
	for rest, have := range r.entries {
		if !there[rest] && have.index <= s.Index {
			delete(r.entries, rest)
		}
	}
}

// entryKey returns the key of a pair relative to the prefix. Directory markers have none.
func (r *replica[T]) entryKey(p intent.Pair) (rest string, is bool) {
	rest, is = r.prefix.Below(p.Key)
	return rest, is && (len(p.Value) > 0 || !strings.HasSuffix(p.Key, "/"))
}

func (r *replica[T]) put(rest string, p intent.Pair) {
	noun, fault := r.parse(p)
	r.entries[rest] = entry[T]{value: noun, index: p.ModifyIndex, fault: fault}
}

// applyWrite applies one pair that was read or written by itself, and reports whether it belongs to the replica.
func (r *replica[T]) applyWrite(n update) (mine bool) {
	rest, mine := r.prefix.Below(n.pair.Key)
	noun, written := n.value.(T)
	switch {
	case !mine:
	case n.found && written:
		r.entries[rest] = entry[T]{value: noun, index: n.pair.ModifyIndex}
	case n.found:
		r.put(rest, n.pair)
	default:
		have := r.entries[rest]
		have.gone, have.index = true, max(have.index+1, n.pair.ModifyIndex)
		r.entries[rest] = have
	}
	return mine
}

func (r *replica[T]) get(rest string) (entry[T], bool) {
	e, ok := r.entries[rest]
	return e, ok && !e.gone
}

func (r *replica[T]) loaded() bool               { return r.index > 0 }
func (r *replica[T]) watchPrefix() intent.Prefix { return r.prefix }
