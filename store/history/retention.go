package history

import (
	"encoding/json"
	"fmt"
	"time"

	"github.com/platypus-platform/platypus/intent"
)

// window says which part of the log is kept. Whoever must not be passed over by the compactor moves it, too.
type window struct {
	Floor       mark   `json:"floor,omitzero"`        // nothing before it can be read
	Checkpoints []mark `json:"checkpoints,omitempty"` // by seq
	Pins        uint64 `json:"pins,omitempty"`        // how often a tag, a fork or a mirror came or went
	Holds       int    `json:"holds,omitempty"`       // how often a hold was set: 0 spares looking for them
	Born        uint64 `json:"born,omitempty"`        // CreateIndex of the head: another one means that the store was filled anew
	Closed      bool   `json:"closed,omitempty"`      // a fork that is still being made
	Rebased     rebase `json:"rebased,omitzero"`

	index uint64 // of its key; 0: it does not exist
}

// mark is a checkpoint.
type mark struct {
	Seq   uint64    `json:"seq"`
	At    time.Time `json:"at"`
	Parts int       `json:"parts"`
	Bytes int       `json:"bytes"`
	SHA   digest    `json:"sha"` // of all its parts, put together
}

// rebase says that the store was filled anew: whatever index a commit up to Seq tells of, it stands for Index or less.
type rebase struct {
	Seq   uint64 `json:"seq,omitempty"`
	Index uint64 `json:"index,omitempty"`
}

func parseWindow(pair intent.Pair) (window, error) {
	w := window{index: pair.ModifyIndex}
	if w.index == 0 {
		return w, nil
	}
	if err := json.Unmarshal(pair.Value, &w); err != nil {
		return w, fmt.Errorf("read %s: %w: %w", pair.Key, ErrForged, err)
	}
	return w, nil
}

func (w window) encode() []byte {
	data, err := json.Marshal(w)
	if err != nil {
		panic(err) // numbers and times
	}
	return data
}

// before returns the newest checkpoint that is not after seq.
func (w window) before(seq uint64) (m mark, ok bool) {
	for _, c := range w.Checkpoints {
		if c.Seq <= seq {
			m, ok = c, true
		}
	}
	return m, ok
}
