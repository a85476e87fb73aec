package fleet

import (
	"encoding/json"
	"hash/maphash"
	"maps"
	"strings"
	"time"

	"github.com/platypus-platform/platypus/intent"
	"github.com/platypus-platform/platypus/store"
)

// Reader puts a fleet together out of what is read below each of its prefixes. A value is parsed once and again only when
// it changed. One goroutine uses it.
type Reader struct {
	tree         intent.Tree
	now          func() time.Time
	seed         maphash.Seed
	parts        map[intent.Prefix]*part
	changeLog    []Change // newest first
	commits      []Commit // newest first
	agentReports agentReports
}

// part is everything below one prefix.
type part struct {
	values map[string]value // by what follows the prefix in the key
	index  uint64
}

// value is one parsed value: a noun, or why there is none.
type value struct {
	names    []intent.Name // the segments of its key; nil when one of them is no name
	modified uint64
	sum      uint64
	noun     any
	fault    string
}

// NewReader returns a reader that has read nothing. Now tells when something was noticed.
func NewReader(tree intent.Tree, now func() time.Time) *Reader {
	return &Reader{tree: tree, now: now, seed: maphash.MakeSeed(), parts: map[intent.Prefix]*part{}}
}

// Prefixes are all that a fleet is made of, to be watched each by itself.
func (r *Reader) Prefixes() []intent.Prefix {
	return []intent.Prefix{r.tree.Regions(), r.tree.Machines(), r.tree.VMs(), r.tree.Ledgers(), r.tree.PlacedVMs(),
		r.placedSeeds(), r.tree.Statuses(), r.tree.Alives()}
}

func (r *Reader) placedSeeds() intent.Prefix { return r.tree.Own().Join("placement", "seeds") }

// Complete reports whether every prefix was read at least once.
func (r *Reader) Complete() bool { return len(r.parts) == len(r.Prefixes()) }

// Take replaces what is known below one prefix.
func (r *Reader) Take(prefix intent.Prefix, s store.Snapshot) {
	before, known := r.parts[prefix]
	if !known {
		before = &part{}
	}
	after := &part{values: make(map[string]value, len(s.Pairs)), index: s.Index}
	var news []Change
	for _, p := range s.Pairs {
		key, below := prefix.Below(p.Key)
		if !below || strings.HasSuffix(key, "/") {
			continue // the empty folder key that the Consul page makes
		}
		old, had := before.values[key]
		sum := maphash.Bytes(r.seed, p.Value)
		if had && old.modified == p.ModifyIndex && old.sum == sum {
			after.values[key] = old
			continue
		}
		v := r.parse(prefix, key, p)
		v.modified, v.sum, v.names = p.ModifyIndex, sum, segments(key)
		after.values[key] = v
		news = append(news, changed(key, old.noun, v.noun)...)
	}
	for key, old := range before.values {
		if _, still := after.values[key]; !still {
			news = append(news, changed(key, old.noun, nil)...)
		}
	}
	r.parts[prefix] = after
	if known {
		r.record(news)
	}
}

// parse reads one value as what its prefix holds.
func (r *Reader) parse(prefix intent.Prefix, key string, p intent.Pair) value {
	switch prefix {
	case r.tree.Regions():
		return decoded[intent.Region](p)
	case r.tree.Machines():
		return decoded[intent.Machine](p)
	case r.tree.VMs():
		return decoded[intent.VM](p)
	case r.tree.Ledgers():
		return decoded[intent.Ledger](p)
	case r.tree.PlacedVMs():
		return decoded[intent.Placement](p)
	case r.placedSeeds():
		return loose[claim](p)
	case r.tree.Statuses():
		return loose[intent.Report](p)
	}
	return value{noun: true}
}

// claim is what is shown of a seed's placement on a node.
type claim struct {
	State string `json:"state"`
	Phase string `json:"phase"`
}

func decoded[T any](p intent.Pair) value {
	noun, problems := intent.Decode[T](p.Key, p.Value)
	if err := problems.Err(); err != nil {
		return value{fault: err.Error()}
	}
	return value{noun: noun}
}

// loose reads what agents write: newer agents may say more than is known here.
func loose[T any](p intent.Pair) value {
	var noun T
	if len(p.Value) > intent.MaxValue {
		return value{fault: "the value is too large"}
	}
	if err := json.Unmarshal(p.Value, &noun); err != nil {
		return value{fault: err.Error()}
	}
	return value{noun: noun}
}

// segments are those of a key, nil when one of them is no name.
func segments(key string) (names []intent.Name) {
	for segment := range strings.SplitSeq(key, "/") {
		name, err := intent.ParseName(segment)
		if err != nil {
			return nil
		}
		names = append(names, name)
	}
	return names
}

// each calls do for the values below a prefix whose key has that many segments, in no order.
func (r *Reader) each(prefix intent.Prefix, segments int, do func(names []intent.Name, v value)) {
	if r.parts[prefix] == nil {
		return
	}
	for _, v := range r.parts[prefix].values {
		if len(v.names) == segments {
			do(v.names, v)
		}
	}
}

// index is the highest of all reads.
func (r *Reader) index() (index uint64) {
	for p := range maps.Values(r.parts) {
		index = max(index, p.index)
	}
	return index
}
