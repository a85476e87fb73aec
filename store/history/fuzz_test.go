package history

import (
	"bytes"
	"testing"
	"time"
)

// FuzzDecode: decoding a record never panics, and an accepted record can be encoded and decoded again.
func FuzzDecode(f *testing.F) {
	seed := Commit{Seq: 7, ID: "X", At: time.UnixMilli(1_700_000_000_000).UTC(), Kind: Set, Note: Note{Author: Author{Name: "a@b", Proof: Claimed}, Message: "m"},
		Prev: HashOf([]byte("x")), Changes: []Change{
			{Key: "nodes/a/x", Op: Put, Base: 3, SHA: HashOf([]byte("v")), Size: 1, stored: storedValue{data: []byte("v"), created: 2}},
			{Key: "nodes/b/x", Op: Delete, Base: 4, Seen: &Interval{After: 4, At: 9, Since: time.UnixMilli(1).UTC(), Until: time.UnixMilli(2).UTC()}},
			{Key: "nodes/c/x", Op: Put, SHA: HashOf(nil), Size: 5000, stored: storedValue{encoding: delta, keyframe: 3, data: []byte("delta")}},
		}}
	record, err := encode(seed)
	if err != nil {
		f.Fatal(err)
	}
	f.Add(record)
	f.Add(record[:len(record)-3])
	f.Add([]byte(recordMagic))
	f.Add([]byte(nil))
	f.Fuzz(func(t *testing.T, data []byte) {
		c, err := decode(data, 42)
		if err != nil {
			return
		}
		for i := range c.Changes {
			if x := &c.Changes[i]; x.Seen == nil && x.Op == Put && x.Base == 0 && x.stored.created == 42 {
				x.stored.created = 0 // not encoded: it is the index of the entry
			}
		}
		again, err := encode(c)
		if err != nil {
			t.Fatal(err)
		}
		back, err := decode(again, 42)
		if err != nil {
			t.Fatal(err)
		}
		third, err := encode(back)
		if err == nil && len(third) == 0 {
			t.Fatal("nothing")
		}
		if len(back.Changes) != len(c.Changes) || back.Seq != c.Seq || back.Prev != c.Prev {
			t.Fatalf("%+v is not %+v", back, c)
		}
		for i := range c.Changes {
			a, b := c.Changes[i], back.Changes[i]
			if a.Key != b.Key || a.SHA != b.SHA || !bytes.Equal(a.stored.data, b.stored.data) || a.stored.keyframe != b.stored.keyframe {
				t.Fatalf("%+v is not %+v", b, a)
			}
		}
	})
}
