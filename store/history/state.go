package history

import (
	"iter"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/platypus-platform/platypus/intent"
)

// State is the whole tree as it stood after one commit.
type State struct {
	Seq    uint64
	At     time.Time
	Hash   Hash    // of the commit
	Faults []Fault // entries on the way that could not be believed: what they did is missing

	id      string
	entries map[string]entry
	gone    map[string]grave // keys deleted since the state that this one was made from
	since   grave            // that state
	weight  int              // bytes of the log since then, roughly
	names   names            // unless nil, the entries are of some keys only, and these say which others there are
}

// Fault is an entry of the log that cannot be believed.
type Fault struct {
	Seq uint64 `json:"seq"`
	Key string `json:"key,omitempty"` // "" when all that the entry did is in doubt
	Err error  `json:"-"`
	Why string `json:"why"`
}

// Error names the entry.
func (f Fault) Error() string { return f.Why }

// Unwrap makes every fault an [ErrForged].
func (f Fault) Unwrap() error { return ErrForged }

// grave is when something ended.
type grave struct{ seq, index uint64 }

// entry is what a state knows of one key.
type entry struct {
	Value         // its Data only once it was needed
	stored        // where the data is otherwise
	anchor uint64 // the newest commit that keeps a value of this key as a whole, for deltas
	deltas int    // since then
}

func emptyState() *State { return &State{entries: map[string]entry{}, gone: map[string]grave{}} }

// Get returns what stood at a key.
func (s *State) Get(key string) (Value, bool) {
	e, ok := s.entries[key]
	return e.Value, ok
}

// Len is how many keys there were.
func (s *State) Len() int { return len(s.entries) }

// All goes through what stood below a prefix of the tree, "" for all of it, by key.
func (s *State) All(prefix intent.Prefix) iter.Seq[Value] {
	return func(yield func(Value) bool) {
		for _, key := range slices.Sorted(maps.Keys(s.entries)) {
			if strings.HasPrefix(key, string(prefix)) && !yield(s.entries[key].Value) {
				return
			}
		}
	}
}

// blind returns a fault by which a value is missing, if there is one.
func (s *State) blind() (Fault, bool) {
	i := slices.IndexFunc(s.Faults, func(f Fault) bool { return f.Key != "" })
	if i < 0 {
		return Fault{}, false
	}
	return s.Faults[i], true
}

// apply makes the state that of one commit later.
func (s *State) apply(c Commit) {
	s.Seq, s.Hash = c.Seq, c.Hash
	if c.Fault != nil {
		s.Faults = append(s.Faults, Fault{Seq: c.Seq, Err: c.Fault, Why: c.Fault.Error()})
		return
	}
	s.At, s.id = c.At, c.ID
	s.weight += 300
	for _, x := range c.Changes {
		s.weight += len(x.stored.data)/4 + 60
		if x.Op == Delete {
			delete(s.entries, x.Key)
			s.gone[x.Key] = grave{c.Seq, x.Index}
			continue
		}
		s.entries[x.Key] = s.entries[x.Key].after(c, x)
	}
}

// after is the entry once a change was made to it.
func (e entry) after(c Commit, x Change) entry {
	n := entry{
		Value:  Value{Key: x.Key, Data: x.Value, SHA: x.SHA, Seq: c.Seq, Index: x.Index, Created: x.stored.created},
		stored: x.stored, anchor: c.Seq,
	}
	if x.stored.how == delta {
		n.anchor, n.deltas = x.stored.anchor, e.deltas+1
	}
	return n
}
