// Package change computes what new values would change: in the store, member by member, and on the hosts, agent by
// agent. It does no I/O.
package change

import (
	"bytes"
	"encoding/json"
	"slices"
	"strconv"
	"strings"

	"github.com/platypus-platform/platypus/deploy/platypus/internal/world"
	"github.com/platypus-platform/platypus/store/history"
	"github.com/platypus-platform/platypus/store/history/parts"
)

// The verbs of a change.
const (
	Create = "create"
	Update = "update"
	Delete = "delete"
)

// Change is one key whose value changes.
type Change struct {
	Key     string          `json:"key"` // below the intent prefix
	Verb    string          `json:"verb"`
	Before  json.RawMessage `json:"before,omitempty"`
	After   json.RawMessage `json:"after,omitempty"`
	Members []Member        `json:"members"`
	Index   uint64          `json:"modify_index"` // of the previous value; 0 if there was none
	value   []byte          // the new value, as the file has it
}

// Member is one part of a value that changes.
type Member struct {
	Pointer string          `json:"pointer"`
	Before  json.RawMessage `json:"before,omitempty"` // absent for a new member
	After   json.RawMessage `json:"after,omitempty"`  // absent for a removed member
}

// Changes returns what the edits change, in their order. A difference in layout alone is not a change.
func Changes(now world.Snapshot, edits []world.Edit) []Change { return collect(now, edits, same) }

// ExactChanges is [Changes] for values that must match byte for byte, such as those of a restore.
func ExactChanges(now world.Snapshot, edits []world.Edit) []Change {
	return collect(now, edits, bytes.Equal)
}

func collect(now world.Snapshot, edits []world.Edit, same func(a, b []byte) bool) []Change {
	changes := []Change{}
	for _, e := range edits {
		pair, exists := now.Get(e.Key)
		before := pair.Value
		if exists && before == nil {
			before = []byte{} // nil would be an absent value
		}
		if exists && e.Value != nil && same(before, e.Value) {
			continue
		}
		if c, is := Between(e.Key, before, e.Value); is {
			c.Index = pair.ModifyIndex
			changes = append(changes, c)
		}
	}
	return changes
}

// Between returns the change from one value of a key to another (nil: absent), and whether they differ.
func Between(key string, before, after []byte) (Change, bool) {
	c := Change{Key: key, Verb: Update, Before: JSON(before), After: JSON(after), value: after}
	switch {
	case before == nil && after == nil, before != nil && after != nil && bytes.Equal(before, after):
		return c, false
	case after == nil:
		c.Verb = Delete
	case before == nil:
		c.Verb = Create
	}
	c.Members = members(before, after)
	return c, true
}

// Edits returns the edits for the history and the index that each key must still have, which prevents lost updates.
// Values are written before the assignments that need them and removed after them.
func Edits(changes []Change) (edits []history.Edit, expect map[string]uint64) {
	ordered := slices.Clone(changes)
	slices.SortStableFunc(ordered, func(a, b Change) int { return a.order() - b.order() })
	expect = make(map[string]uint64, len(changes))
	for _, c := range ordered {
		edits = append(edits, history.Edit{Key: c.Key, Value: c.value, Delete: c.Verb == Delete})
		expect[c.Key] = c.Index
	}
	return edits, expect
}

func (c Change) order() int {
	assignment := strings.HasPrefix(c.Key, "nodes/")
	switch {
	case c.Verb == Delete && assignment:
		return 0
	case c.Verb != Delete && !assignment:
		return 1
	case assignment:
		return 2
	}
	return 3
}

func same(a, b []byte) bool { return bytes.Equal(a, b) || compact(a) == compact(b) }

// compact removes the layout of a value. The order of members stays significant: people reorder them on purpose.
func compact(value []byte) string {
	var b bytes.Buffer
	if json.Compact(&b, value) != nil {
		return string(value)
	}
	return b.String()
}

// JSON returns a value that can be embedded in a JSON document; one that is not JSON becomes a string.
func JSON(value []byte) json.RawMessage {
	switch {
	case value == nil:
		return nil
	case json.Valid(value):
		return json.RawMessage(compact(value))
	}
	quoted, _ := json.Marshal(string(value))
	return quoted
}

// members returns the parts in which two values differ, by pointer. A new or removed object is listed by its members.
func members(before, after []byte) []Member {
	if empty := []byte("{}"); before == nil && len(parts.Parse(after).Elements) > 0 && parts.Parse(after).Kind == parts.Object {
		before = empty
	} else if after == nil && len(parts.Parse(before).Elements) > 0 && parts.Parse(before).Kind == parts.Object {
		after = empty
	}
	all := []Member{}
	for _, d := range parts.Diff(before, after) {
		all = append(all, Member{d.Pointer, JSON(d.Before), JSON(d.After)})
	}
	slices.SortStableFunc(all, func(a, b Member) int { return strings.Compare(a.Pointer, b.Pointer) })
	return all
}

// String returns the member for people: the old value and the new one.
func (m Member) String() string {
	name := m.Pointer
	if name == "" {
		name = "(value)"
	}
	switch {
	case m.Before == nil:
		return "+ " + name + ": " + Short(m.After)
	case m.After == nil:
		return "- " + name + ": " + Short(m.Before)
	}
	return "~ " + name + ": " + Short(m.Before) + " -> " + Short(m.After)
}

// Short returns a piece of JSON, truncated to fit a line.
func Short(raw []byte) string {
	if len(raw) > 200 {
		return string(raw[:200]) + "… (" + strconv.Itoa(len(raw)) + " bytes)"
	}
	return string(raw)
}
