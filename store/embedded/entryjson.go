package embedded

import (
	"encoding/base64"
	"encoding/json"
	"strconv"
)

// entries is the response of a KV read, by far the most frequent request.
type entries []*entry

// encodeJSON returns the same bytes as json.Marshal, without reflection.
func (l entries) encodeJSON() []byte {
	size := len("[]")
	for _, e := range l {
		size += len(e.Key) + base64.StdEncoding.EncodedLen(len(e.Value)) + len(e.Session) + 160
	}
	b := append(make([]byte, 0, size), '[')
	for i, e := range l {
		if i > 0 {
			b = append(b, ',')
		}
		b = e.appendJSON(b)
	}
	return append(b, ']')
}

func (e *entry) appendJSON(b []byte) []byte {
	b = strconv.AppendUint(append(b, `{"LockIndex":`...), e.LockIndex, 10)
	b = appendString(append(b, `,"Key":`...), e.Key)
	b = strconv.AppendUint(append(b, `,"Flags":`...), e.Flags, 10)
	if e.Value == nil {
		b = append(b, `,"Value":null`...)
	} else {
		b = base64.StdEncoding.AppendEncode(append(b, `,"Value":"`...), e.Value)
		b = append(b, '"')
	}
	if e.Session != "" {
		b = appendString(append(b, `,"Session":`...), e.Session)
	}
	b = strconv.AppendUint(append(b, `,"CreateIndex":`...), e.CreateIndex, 10)
	b = strconv.AppendUint(append(b, `,"ModifyIndex":`...), e.ModifyIndex, 10)
	return append(b, '}')
}

// appendString quotes simple ASCII strings and leaves all others to json.Marshal.
func appendString(b []byte, s string) []byte {
	for i := range len(s) {
		switch c := s[i]; {
		case c < ' ', c > '~', c == '"', c == '\\', c == '<', c == '>', c == '&':
			quoted, _ := json.Marshal(s) // a string always has its JSON
			return append(b, quoted...)
		}
	}
	return append(append(append(b, '"'), s...), '"')
}
