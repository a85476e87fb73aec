package embedded

import (
	"encoding/json"
	"testing"
)

// FuzzEntryJSON compares the hand-written encoder with encoding/json, byte for byte.
func FuzzEntryJSON(f *testing.F) {
	for _, key := range []string{"a/b", "", `"\<>&`, "\u2028é\x7f\x00\n", "\xff\xfe"} {
		f.Add(key, []byte(key), key, uint64(1), uint64(0))
		f.Add(key, []byte{}, "", uint64(0), ^uint64(0))
	}
	f.Fuzz(func(t *testing.T, key string, value []byte, session string, lock, index uint64) {
		one := &entry{LockIndex: lock, Key: key, Flags: index / 3, Value: value, Session: session, indexes: indexes{index, index - 1}}
		none := &entry{Key: session, indexes: indexes{lock, index}}
		for _, list := range []entries{{}, {one}, {none, one}} {
			want, err := json.Marshal(list)
			if err != nil {
				t.Fatal(err)
			}
			if got := list.encodeJSON(); string(got) != string(want) {
				t.Errorf("written\n%s\nwant\n%s", got, want)
			}
		}
	})
}
