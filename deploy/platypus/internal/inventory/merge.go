package inventory

import (
	"bytes"
	"encoding/json"
	"fmt"
	"slices"
	"strings"

	"github.com/platypus-platform/platypus/intent"
)

// Merge returns the value that a record makes of the value that stands in the store, nil for none. What the record says
// nothing about stays as it is, and so does the text of a member that means the same already; when nothing changes the
// very same value comes back. A value that cannot be read is never written over.
func Merge(before []byte, r Record) ([]byte, error) {
	if before == nil {
		return write(append(slices.Clone(r.Fields), r.Initial...)), nil
	}
	fields, err := membersOf(before)
	if err != nil {
		return nil, fmt.Errorf("what stands in the store cannot be read (%w): mend it first: platypus validate shows where", err)
	}
	changed := false
	for _, f := range r.Fields {
		i := slices.IndexFunc(fields, func(old Field) bool { return fold(old.Name) == fold(f.Name) })
		switch {
		case i < 0:
			fields, changed = append(fields, f), true
		case !same(f.Name, fields[i].Value, f.Value):
			fields[i].Value, changed = f.Value, true
		}
	}
	if !changed {
		return before, nil
	}
	return write(fields), nil
}

// fold is how names of members match when intent is read.
func fold(name string) string { return strings.ToLower(strings.ReplaceAll(name, "_", "")) }

// same reports whether two values of a member mean the same. Sizes may be written in many ways.
func same(name string, a, b json.RawMessage) bool {
	var one, other bytes.Buffer
	if json.Compact(&one, a) == nil && json.Compact(&other, b) == nil && bytes.Equal(one.Bytes(), other.Bytes()) {
		return true
	}
	if fold(name) != "memory" {
		return false
	}
	var x, y intent.Size
	return json.Unmarshal(a, &x) == nil && json.Unmarshal(b, &y) == nil && x == y
}

// membersOf takes an object apart, in the order in which it is written.
func membersOf(value []byte) ([]Field, error) {
	if !json.Valid(value) {
		return nil, fmt.Errorf("it is not JSON")
	}
	dec := json.NewDecoder(bytes.NewReader(value))
	if token, err := dec.Token(); err != nil || token != json.Delim('{') {
		return nil, fmt.Errorf("it is not an object")
	}
	var fields []Field
	for dec.More() {
		token, err := dec.Token()
		if err != nil {
			return nil, err
		}
		var raw json.RawMessage
		if err := dec.Decode(&raw); err != nil {
			return nil, err
		}
		name, _ := token.(string)
		fields = append(fields, Field{name, raw})
	}
	return fields, nil
}

// write puts members together in one line.
func write(fields []Field) []byte {
	var b bytes.Buffer
	b.WriteByte('{')
	for i, f := range fields {
		if i > 0 {
			b.WriteByte(',')
		}
		b.Write(text(f.Name))
		b.WriteByte(':')
		b.Write(f.Value)
	}
	b.WriteByte('}')
	return b.Bytes()
}

// kept are the members that an import never touches once they are declared: what people decided on the way.
var kept = []string{"state", "drain"}

// FromIntent makes a record of a value as intent files hold it. What an import never touches counts for a new key alone.
func FromIntent(key string, value []byte) (Record, error) {
	r := Record{Key: key}
	fields, err := membersOf(value)
	for _, f := range fields {
		if slices.Contains(kept, fold(f.Name)) {
			r.Initial = append(r.Initial, f)
		} else if f.Name != "$schema" {
			r.Fields = append(r.Fields, f)
		}
	}
	return r, err
}
