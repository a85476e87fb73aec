package history

import (
	"encoding/json"
	"fmt"
	"time"

	"github.com/platypus-platform/platypus/intent"
)

// retentionState records which part of the log exists. Tags, forks, mirrors and holds also update it, so that a
// concurrent compaction fails and sees them.
type retentionState struct {
	Floor       checkpointRef   `json:"floor,omitzero"`        // commits before it are deleted
	Checkpoints []checkpointRef `json:"checkpoints,omitempty"` // by seq
	Pins        uint64          `json:"pins,omitempty"`        // changes of tags, forks and mirrors so far
	Holds       int             `json:"holds,omitempty"`       // holds set so far; 0 saves reading them
	HeadCreated uint64          `json:"born,omitempty"`        // CreateIndex of the head; a different one means that the store was filled again
	Closed      bool            `json:"closed,omitempty"`      // a fork or an import is in progress: commits are rejected
	IndexReset  indexReset      `json:"rebased,omitzero"`

	index uint64 // ModifyIndex of its key; 0: it does not exist
}

// checkpointRef identifies a checkpoint.
type checkpointRef struct {
	Seq   uint64    `json:"seq"`
	At    time.Time `json:"at"`
	Parts int       `json:"parts"`
	Bytes int       `json:"bytes"`
	SHA   digest    `json:"sha"` // of its parts, concatenated
}

// indexReset records that the store was filled again: any index in a commit up to Seq counts as at most Index.
type indexReset struct {
	Seq   uint64 `json:"seq,omitempty"`
	Index uint64 `json:"index,omitempty"`
}

func parseRetention(pair intent.Pair) (retentionState, error) {
	w := retentionState{index: pair.ModifyIndex}
	if w.index == 0 {
		return w, nil
	}
	if err := json.Unmarshal(pair.Value, &w); err != nil {
		return w, fmt.Errorf("read %s: %w: %w", pair.Key, ErrForged, err)
	}
	return w, nil
}

func (w retentionState) encode() []byte {
	data, err := json.Marshal(w)
	if err != nil {
		panic(err) // numbers and times
	}
	return data
}

// checkpointAt returns the newest checkpoint at or before seq.
func (w retentionState) checkpointAt(seq uint64) (m checkpointRef, ok bool) {
	for _, c := range w.Checkpoints {
		if c.Seq <= seq {
			m, ok = c, true
		}
	}
	return m, ok
}
