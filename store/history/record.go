package history

import (
	"bytes"
	"encoding/base64"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"time"
)

// recordMagic starts every record; its last byte is the version of the format and of the dictionary.
const recordMagic = "ph1"

// maxPlain limits the decompressed size of a record or a checkpoint, against forged ones that would exhaust memory.
const maxPlain = 256 << 20

// dictionary contains the text that most records share.
const dictionary = `{"s":1,"i":"ABCDEFGHIJKLMNOPQRSTUVWXYZ234567","t":1700000000000,"p":"","k":"rollback","k":"observed","k":"set",` +
	`"n":{"author":{"name":"root@","accessor":"-4-4-4-","proof":"unknown"},"author":{"name":"@","proof":"accessor"},` +
	`"via":"recorder","via":"cli","message":"release to production","reverts":1,"parents":[{"root":"platypus/forks/","seq":1}]},` +
	`"c":[{"k":"clusters//staging/config","o":"d"},{"k":"nodes/","b":1,"h":""},{"k":"vms/","b":1,"c":1,"h":"","z":1},` +
	`{"k":"clusters//production/deploy_config","b":10,"x":1,"c":10,"r":true,"h":"","z":100,"e":"delta","a":10,"l":100,"w":[1,1,17,17]}]}` +
	`{"cluster":"production"}{"versions":{"v1":"prep","v2":"active"},"user_config":{},"basedir":"/srv/","ports":[8080],"run_as":"","health":{"path":"/healthz","port":8080}}`

// recordHeader is a record without its values. Its JSON names are short because every server keeps every commit in
// memory.
type recordHeader struct {
	Seq     uint64         `json:"s"`
	ID      string         `json:"i"`
	At      int64          `json:"t"` // milliseconds
	Prev    digest         `json:"p"`
	Kind    Kind           `json:"k"`
	Note    Note           `json:"n"`
	Changes []changeRecord `json:"c"`
}

// changeRecord is one change in a header.
type changeRecord struct {
	Key       string     `json:"k"`
	Op        string     `json:"o,omitempty"` // "d" for a delete
	Base      uint64     `json:"b,omitempty"`
	Index     uint64     `json:"x,omitempty"` // 0: that of the commit
	Created   uint64     `json:"c,omitempty"` // 0: unknown; with Base 0 it is the index of the commit
	Recreated bool       `json:"r,omitempty"`
	SHA       digest     `json:"h,omitzero"`
	Size      int        `json:"z,omitempty"`
	Stored    payloadRef `json:"e,omitzero"`
	Seen      *[4]int64  `json:"w,omitempty"` // After, At, Since, Until
}

// payloadRef locates a value: Length bytes of the record's payload, or a blob.
type payloadRef struct {
	Encoding encoding `json:"h,omitempty"`
	Keyframe uint64   `json:"a,omitempty"`
	Length   int      `json:"l,omitempty"`
}

// digest is a Hash in the shortest form that JSON allows.
type digest Hash

// MarshalText writes unpadded base64.
func (d digest) MarshalText() ([]byte, error) {
	if d == (digest{}) {
		return nil, nil
	}
	return base64.RawStdEncoding.AppendEncode(nil, d[:]), nil
}

// UnmarshalText reads the form of MarshalText.
func (d *digest) UnmarshalText(text []byte) error {
	*d = digest{}
	if len(text) == 0 {
		return nil
	}
	raw, err := base64.RawStdEncoding.DecodeString(string(text))
	if err != nil || len(raw) != len(d) {
		return errors.New("no hash")
	}
	copy(d[:], raw)
	return nil
}

// encode encodes a commit: a magic prefix, then compressed the length of the header, the header and the values.
func encode(c Commit) ([]byte, error) {
	h := recordHeader{Seq: c.Seq, ID: c.ID, At: c.At.UnixMilli(), Prev: digest(c.Prev), Kind: c.Kind, Note: c.Note}
	var payload []byte
	for _, x := range c.Changes {
		h.Changes = append(h.Changes, newChangeRecord(x))
		payload = append(payload, x.stored.data...)
	}
	head, err := json.Marshal(h)
	if err != nil {
		return nil, fmt.Errorf("encode commit %d: %w", c.Seq, err)
	}
	plain := binary.AppendUvarint(nil, uint64(len(head)))
	plain = append(append(plain, head...), payload...)
	if len(plain) > maxPlain {
		return nil, fmt.Errorf("encode commit %d: %w: %d bytes, at most %d", c.Seq, errTooLarge, len(plain), maxPlain)
	}
	return deflateRecord([]byte(recordMagic), plain), nil
}

func newChangeRecord(x Change) changeRecord {
	n := changeRecord{Key: x.Key, Base: x.Base, Recreated: x.Recreated, SHA: digest(x.SHA), Size: x.Size, Created: x.stored.created,
		Stored: payloadRef{x.stored.encoding, x.stored.keyframe, len(x.stored.data)}}
	if x.Op == Delete {
		n.Op = "d"
	}
	if x.Seen != nil {
		n.Index = x.Index
		n.Seen = &[4]int64{int64(x.Seen.After), int64(x.Seen.At), x.Seen.Since.UnixMilli(), x.Seen.Until.UnixMilli()}
	}
	return n
}

// decode reads what encode wrote. index is the ModifyIndex of the entry.
func decode(record []byte, index uint64) (Commit, error) {
	plain, err := inflate(record, recordMagic, []byte(dictionary))
	if err != nil {
		return Commit{}, err
	}
	size, n := binary.Uvarint(plain)
	if n <= 0 || size > uint64(len(plain)-n) {
		return Commit{}, errors.New("the header is cut off")
	}
	var h recordHeader
	if err := json.Unmarshal(plain[n:n+int(size)], &h); err != nil {
		return Commit{}, fmt.Errorf("the header: %w", err)
	}
	c := Commit{Seq: h.Seq, Index: index, ID: h.ID, At: time.UnixMilli(h.At).UTC(), Kind: h.Kind, Note: h.Note, Prev: Hash(h.Prev), Hash: HashOf(record)}
	payload := plain[n+int(size):]
	for _, n := range h.Changes {
		x, rest, err := n.decode(index, payload)
		if err != nil {
			return Commit{}, err
		}
		c.Changes, payload = append(c.Changes, x), rest
	}
	if len(payload) > 0 {
		return Commit{}, fmt.Errorf("%d bytes are left over", len(payload))
	}
	return c, nil
}

func (n changeRecord) decode(index uint64, payload []byte) (Change, []byte, error) {
	x := Change{Key: n.Key, Op: Put, Base: n.Base, Index: index, Recreated: n.Recreated, SHA: Hash(n.SHA), Size: n.Size}
	if n.Op == "d" {
		x.Op = Delete
	}
	if n.Seen != nil {
		x.Index = n.Index
		x.Seen = &Interval{uint64(n.Seen[0]), uint64(n.Seen[1]), time.UnixMilli(n.Seen[2]).UTC(), time.UnixMilli(n.Seen[3]).UTC()}
	}
	x.setDeleteIndex(index)
	if n.Stored.Length < 0 || n.Stored.Length > len(payload) {
		return x, nil, fmt.Errorf("the value of %s is cut off", n.Key)
	}
	x.stored = storedValue{encoding: n.Stored.Encoding, keyframe: n.Stored.Keyframe, created: n.Created, data: payload[:n.Stored.Length:n.Stored.Length]}
	if x.Op == Put && n.Base == 0 && n.Created == 0 {
		x.stored.created = index // created by this commit
	}
	return x, payload[n.Stored.Length:], nil
}

// setDeleteIndex gives an overwritten plain delete the index of the commit that overwrote it: nothing else is known of
// when it happened.
func (x *Change) setDeleteIndex(index uint64) {
	if x.Seen != nil && x.Op == Delete && x.Seen.At == 0 {
		x.Index, x.Seen.At = index, index
	}
}

// errTooLarge is wrapped together with the limit.
var errTooLarge = errors.New("too large")

func readAll(r io.Reader, limit int64) ([]byte, error) {
	var b bytes.Buffer
	n, err := io.Copy(&b, io.LimitReader(r, limit+1))
	if err == nil && n > limit {
		err = fmt.Errorf("%w: it inflates to more than %d bytes", errTooLarge, limit)
	}
	return b.Bytes(), err
}
