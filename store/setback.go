package store

import (
	"fmt"
	"strings"
)

// SetBack reports whether the store went back to an older state since the previous snapshot, as after a restore from a
// backup, in words for a message; "" if it did not. Writing a key raises its index, and a deletion leaves a higher
// index for its prefix during the 15 minutes for which Consul remembers it: recent means that less time than that lies
// between the two snapshots, so that a missing key is evidence too.
func (s Snapshot) SetBack(before Snapshot, recent bool) string {
	now := make(map[string]uint64, len(s.Pairs))
	for _, p := range s.Pairs {
		now[p.Key] = p.ModifyIndex
	}
	for _, p := range before.Pairs {
		index, there := now[p.Key]
		if !there && recent {
			index, there = s.indexOf(p.Key)
		}
		if !there {
			continue
		}
		if index < p.ModifyIndex {
			return fmt.Sprintf("the store went back from index %d to %d at %s (was it restored from a backup?)", p.ModifyIndex, index, p.Key)
		}
	}
	return ""
}

// indexOf returns the index of the read that covers a key; ok is false if none does or if it was denied.
func (s Snapshot) indexOf(key string) (index uint64, ok bool) {
	for prefix, at := range s.Indexes {
		if strings.HasPrefix(key, string(prefix)) && s.Refused[prefix] == "" {
			index, ok = max(index, at), true
		}
	}
	return index, ok
}
