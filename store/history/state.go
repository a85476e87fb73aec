package history

import (
	"iter"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/platypus-platform/platypus/intent"
)

// State is the whole tree after one commit.
type State struct {
	Seq    uint64
	At     time.Time
	Hash   Hash    // of the commit
	Faults []Fault // damaged entries on the way; their changes are missing

	id       string
	entries  map[string]entry
	deleted  map[string]position // keys deleted since the base state
	base     position            // position of the base state
	logBytes int                 // approximate bytes of log since the base state
	keyIndex keyIndex            // if not nil, entries holds only some keys, and this lists all
}

// Fault is a damaged or forged entry of the log.
type Fault struct {
	Seq uint64 `json:"seq"`
	Key string `json:"key,omitempty"` // "" if all changes of the entry are in doubt
	Err error  `json:"-"`
	Why string `json:"why"`
}

// Error returns Why, which names the entry.
func (f Fault) Error() string { return f.Why }

// Unwrap makes every fault an [ErrForged].
func (f Fault) Unwrap() error { return ErrForged }

// position is a commit and an index of the store.
type position struct{ seq, index uint64 }

// entry is one key of a state.
type entry struct {
	Value              // Data is loaded on demand
	storedValue        // source of Data until then
	keyframe    uint64 // the newest commit with a complete value of this key, for deltas
	deltas      int    // deltas since then
}

func emptyState() *State { return &State{entries: map[string]entry{}, deleted: map[string]position{}} }

// Get returns the value of a key.
func (s *State) Get(key string) (Value, bool) {
	e, ok := s.entries[key]
	return e.Value, ok
}

// Len is the number of keys.
func (s *State) Len() int { return len(s.entries) }

// All iterates over the values below a prefix of the tree, "" for all, in key order.
func (s *State) All(prefix intent.Prefix) iter.Seq[Value] {
	return func(yield func(Value) bool) {
		for _, key := range slices.Sorted(maps.Keys(s.entries)) {
			if strings.HasPrefix(key, string(prefix)) && !yield(s.entries[key].Value) {
				return
			}
		}
	}
}

// missingValue returns the fault of a missing value, if there is one.
func (s *State) missingValue() (Fault, bool) {
	i := slices.IndexFunc(s.Faults, func(f Fault) bool { return f.Key != "" })
	if i < 0 {
		return Fault{}, false
	}
	return s.Faults[i], true
}

// apply advances the state by one commit.
func (s *State) apply(c Commit) {
	s.Seq, s.Hash = c.Seq, c.Hash
	if c.Fault != nil {
		s.Faults = append(s.Faults, Fault{Seq: c.Seq, Err: c.Fault, Why: c.Fault.Error()})
		return
	}
	s.At, s.id = c.At, c.ID
	s.logBytes += 300
	for _, x := range c.Changes {
		s.logBytes += len(x.stored.data)/4 + 60
		if x.Op == Delete {
			delete(s.entries, x.Key)
			s.deleted[x.Key] = position{c.Seq, x.Index}
			continue
		}
		s.entries[x.Key] = s.entries[x.Key].withChange(c, x)
	}
}

// withChange returns the entry after a change.
func (e entry) withChange(c Commit, x Change) entry {
	n := entry{
		Value:       Value{Key: x.Key, Data: x.Value, SHA: x.SHA, Seq: c.Seq, Index: x.Index, Created: x.stored.created},
		storedValue: x.stored, keyframe: c.Seq,
	}
	if x.stored.encoding == delta {
		n.keyframe, n.deltas = x.stored.keyframe, e.deltas+1
	}
	return n
}
