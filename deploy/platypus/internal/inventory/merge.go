package inventory

import (
	"bytes"
	"encoding/json"
	"fmt"
	"slices"
	"strings"

	"github.com/platypus-platform/platypus/intent"
)

// Merge merges a record into the stored value (nil: none). Members that the record does not have stay, and so does the
// text of a member with the same meaning; if nothing changes, the identical value is returned. A value that cannot be
// read is never overwritten.
func Merge(before []byte, r Record) ([]byte, error) {
	if before == nil {
		return encodeObject(append(slices.Clone(r.Fields), r.Initial...)), nil
	}
	fields, err := parseObject(before)
	if err != nil {
		return nil, fmt.Errorf("what stands in the store cannot be read (%w): mend it first: platypus validate shows where", err)
	}
	changed := false
	for _, f := range r.Fields {
		i := slices.IndexFunc(fields, func(old Field) bool { return normalizedName(old.Name) == normalizedName(f.Name) })
		switch {
		case i < 0:
			fields, changed = append(fields, f), true
		case !sameValue(f.Name, fields[i].Value, f.Value):
			fields[i].Value, changed = f.Value, true
		}
	}
	if !changed {
		return before, nil
	}
	return encodeObject(fields), nil
}

// normalizedName folds a member name as intent does when it matches names.
func normalizedName(name string) string { return strings.ToLower(strings.ReplaceAll(name, "_", "")) }

// sameValue reports whether two values of a member mean the same. Sizes have several spellings.
func sameValue(name string, a, b json.RawMessage) bool {
	var one, other bytes.Buffer
	if json.Compact(&one, a) == nil && json.Compact(&other, b) == nil && bytes.Equal(one.Bytes(), other.Bytes()) {
		return true
	}
	if normalizedName(name) != "memory" {
		return false
	}
	var x, y intent.Size
	return json.Unmarshal(a, &x) == nil && json.Unmarshal(b, &y) == nil && x == y
}

// parseObject splits an object into its members, in their order.
func parseObject(value []byte) ([]Field, error) {
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

// encodeObject writes members as an object in one line.
func encodeObject(fields []Field) []byte {
	var b bytes.Buffer
	b.WriteByte('{')
	for i, f := range fields {
		if i > 0 {
			b.WriteByte(',')
		}
		b.Write(jsonString(f.Name))
		b.WriteByte(':')
		b.Write(f.Value)
	}
	b.WriteByte('}')
	return b.Bytes()
}

// preservedMembers are never changed by an import once they are declared: people decide them.
var preservedMembers = []string{"state", "drain"}

// FromIntent converts a value of an intent file to a record. Preserved members apply only to a new key.
func FromIntent(key string, value []byte) (Record, error) {
	r := Record{Key: key}
	fields, err := parseObject(value)
	for _, f := range fields {
		if slices.Contains(preservedMembers, normalizedName(f.Name)) {
			r.Initial = append(r.Initial, f)
		} else if f.Name != "$schema" {
			r.Fields = append(r.Fields, f)
		}
	}
	return r, err
}
