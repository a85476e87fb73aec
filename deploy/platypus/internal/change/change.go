// Package change says what a set of new values would change: in the store, member by member, and on the hosts, agent by
// agent. It computes and touches nothing.
package change

import (
	"bytes"
	"encoding/json"
	"slices"
	"strconv"
	"strings"

	"github.com/platypus-platform/platypus/deploy/platypus/internal/world"
	"github.com/platypus-platform/platypus/store"
)

// The verbs of a change.
const (
	Create = "create"
	Update = "update"
	Delete = "delete"
)

// Change is one key whose value becomes another.
type Change struct {
	Key     string          `json:"key"` // below the intent prefix
	Verb    string          `json:"verb"`
	Before  json.RawMessage `json:"before,omitempty"`
	After   json.RawMessage `json:"after,omitempty"`
	Members []Member        `json:"members"`
	Index   uint64          `json:"modify_index"` // of the value before; 0 when there was none
	value   []byte          // after, as the file has it
}

// Member is one part of a value that becomes another.
type Member struct {
	Pointer string          `json:"pointer"`
	Before  json.RawMessage `json:"before,omitempty"` // absent: it is new
	After   json.RawMessage `json:"after,omitempty"`  // absent: it goes
}

// Changes returns what the edits change, in their order. A value that says the same in another layout is no change.
func Changes(now world.World, edits []world.Edit) []Change {
	changes := []Change{}
	for _, e := range edits {
		pair, exists := now.Get(e.Key)
		c := Change{Key: e.Key, Verb: Update, Before: jsonOf(pair.Value), After: jsonOf(e.Value), Index: pair.ModifyIndex, value: e.Value}
		switch {
		case e.Value == nil && !exists, exists && e.Value != nil && same(pair.Value, e.Value):
			continue
		case e.Value == nil:
			c.Verb = Delete
		case !exists:
			c.Verb = Create
		}
		c.Members = members("", pair.Value, e.Value)
		changes = append(changes, c)
	}
	return changes
}

// Commands returns the operations that make the changes under root, each on the condition that nobody changed the value
// since it was read. Values come before assignments that need them, and go after.
func Commands(now world.World, changes []Change) []store.Change {
	ordered := slices.Clone(changes)
	slices.SortStableFunc(ordered, func(a, b Change) int { return a.turn() - b.turn() })
	commands := make([]store.Change, 0, len(changes))
	for _, c := range ordered {
		verb := store.CAS
		if c.Verb == Delete {
			verb = store.DeleteCAS
		}
		commands = append(commands, store.Change{Verb: verb, Key: string(now.Tree.Intent()) + c.Key, Value: c.value, Index: c.Index})
	}
	return commands
}

func (c Change) turn() int {
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

// compact is the value without its layout. Order of members counts: a person who reorders them means to.
func compact(value []byte) string {
	var b bytes.Buffer
	if json.Compact(&b, value) != nil {
		return string(value)
	}
	return b.String()
}

// jsonOf makes a value fit for a JSON document, even when it is not JSON itself.
func jsonOf(value []byte) json.RawMessage {
	switch {
	case value == nil:
		return nil
	case json.Valid(value):
		return json.RawMessage(compact(value))
	}
	quoted, _ := json.Marshal(string(value))
	return quoted
}

// members compares two values down to what differs. Objects are entered, everything else is compared whole.
func members(pointer string, before, after []byte) []Member {
	var a, b map[string]json.RawMessage
	isObject := func(raw []byte) bool { t := bytes.TrimSpace(raw); return len(t) > 0 && t[0] == '{' }
	if !(isObject(before) || before == nil) || !(isObject(after) || after == nil) ||
		before != nil && json.Unmarshal(before, &a) != nil || after != nil && json.Unmarshal(after, &b) != nil || before == nil && after == nil {
		return []Member{{pointer, jsonOf(before), jsonOf(after)}}
	}
	all := []Member{}
	for _, name := range union(a, b) {
		below := pointer + "/" + strings.NewReplacer("~", "~0", "/", "~1").Replace(name)
		x, inA := a[name]
		y, inB := b[name]
		switch {
		case inA && inB && same(x, y):
		case inA && inB:
			all = append(all, members(below, x, y)...)
		default:
			all = append(all, Member{below, jsonOf(x), jsonOf(y)})
		}
	}
	return all
}

func union(a, b map[string]json.RawMessage) []string {
	var names []string
	for name := range a {
		names = append(names, name)
	}
	for name := range b {
		names = append(names, name)
	}
	slices.Sort(names)
	return slices.Compact(names)
}

// String is the member for a person: what it was and what it becomes.
func (m Member) String() string {
	name := m.Pointer
	if name == "" {
		name = "(value)"
	}
	switch {
	case m.Before == nil:
		return "+ " + name + ": " + short(m.After)
	case m.After == nil:
		return "- " + name + ": " + short(m.Before)
	}
	return "~ " + name + ": " + short(m.Before) + " -> " + short(m.After)
}

func short(raw json.RawMessage) string {
	if len(raw) > 200 {
		return string(raw[:200]) + "… (" + strconv.Itoa(len(raw)) + " bytes)"
	}
	return string(raw)
}
