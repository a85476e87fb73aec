package history

import (
	"context"
	"time"

	"github.com/platypus-platform/platypus/intent"
)

// Kind is the kind of a commit.
type Kind string

// The kinds of commits.
const (
	Set      Kind = "set"      // a normal change
	Rollback Kind = "rollback" // an earlier state restored
	Join     Kind = "join"     // changes joined from another tree
	Fork     Kind = "fork"     // the first commit of a fork: the content of another tree
	Observed Kind = "observed" // plain writes found in the store, made without this package
	Import   Kind = "import"   // from an export
)

// Proof is how the author of a commit is known.
type Proof string

// The proofs.
const (
	Accessor Proof = "accessor" // the store identified the token
	Claimed  Proof = "claimed"  // claimed by the writer
	Unknown  Proof = "unknown"  // a plain write
)

// Author is who made a change.
type Author struct {
	Name     string `json:"name,omitempty"` // user@host, or the store's name of the token
	Accessor string `json:"accessor,omitempty"`
	Proof    Proof  `json:"proof"`
}

// Ref names a commit of some tree.
type Ref struct {
	Root string `json:"root"` // see [intent.Tree.Root]
	Seq  uint64 `json:"seq"`
}

// Note is the metadata of a commit.
type Note struct {
	Author  Author `json:"author"`
	Via     string `json:"via,omitempty"` // the program: cli, recorder, …
	Message string `json:"message,omitempty"`
	Reverts uint64 `json:"reverts,omitempty"` // the commit that this one reverts
	Parents []Ref  `json:"parents,omitempty"` // commits of other trees that were joined
}

// Op is the operation of a change.
type Op string

// The operations.
const (
	Put    Op = "put"
	Delete Op = "delete"
)

// Interval bounds when a plain write happened: after one index and time, not after another. There was at least one
// write in between, maybe more.
type Interval struct {
	After uint64    `json:"after"` // the previous state was last seen at this index
	At    uint64    `json:"at"`    // the new state was first seen at this index
	Since time.Time `json:"since"`
	Until time.Time `json:"until"`
}

// Change is the effect of a commit on one key.
type Change struct {
	Key       string    `json:"key"` // below the tree, such as clusters/slug/production/config
	Op        Op        `json:"op"`
	Base      uint64    `json:"base"`                // ModifyIndex of the replaced value; 0: the key was absent
	Index     uint64    `json:"index"`               // ModifyIndex of the new value; for a delete an upper bound
	SHA       Hash      `json:"sha,omitzero"`        // of the value
	Size      int       `json:"size"`                // bytes of the value
	Recreated bool      `json:"recreated,omitempty"` // the key had been deleted in between
	Seen      *Interval `json:"seen,omitempty"`      // set for a plain write
	Value     []byte    `json:"-"`                   // nil unless loaded: see [Query] and [Log.Show]

	stored storedValue
}

// Commit is one entry of the log.
type Commit struct {
	Seq     uint64    `json:"seq"`   // from 1, without gaps
	Index   uint64    `json:"index"` // ModifyIndex of the entry and of the values it wrote
	ID      string    `json:"id"`    // random; lets a writer find its own commit
	At      time.Time `json:"at"`
	Kind    Kind      `json:"kind"`
	Note    Note      `json:"note"`
	Prev    Hash      `json:"prev"`
	Hash    Hash      `json:"hash"` // SHA-256 of the stored record
	Changes []Change  `json:"changes"`
	Fault   error     `json:"-"` // why the entry cannot be trusted; other fields may be empty then
}

// Value is the value of one key at some commit.
type Value struct {
	Key     string
	Data    []byte
	SHA     Hash
	Seq     uint64 // the commit that set it
	Index   uint64 // its ModifyIndex
	Created uint64 // its CreateIndex; 0: unknown
}

// Edit is one requested change.
type Edit struct {
	Key    string // below the tree
	Value  []byte
	Delete bool
}

// Request describes a commit to make.
type Request struct {
	Kind       Kind // Set when empty
	Note       Note
	Edits      []Edit
	Expect     map[string]uint64 // required ModifyIndex by key below the tree, 0 for absent; any key, edited or not
	CheckIndex uint64            // if not 0: fail if anything in the tree is newer than this index
	Force      bool              // ignore holds
	Joined     *Joined           // set for a join: adds to the record of the fork in the same transaction
	Also       []string          // further keys below the tree that Judge receives

	// Judge, if not nil, receives the keys of the request and of Also as they were at one moment, before anything is
	// written; ModifyIndex 0 means absent. Its error cancels the commit. It is called again on each retry.
	Judge func(ctx context.Context, live map[string]intent.Pair) error
}

// Joined records that the commit contains all of another tree up to one of its commits.
type Joined struct {
	Fork   intent.Tree // the one of the two trees that is the fork; its record is updated
	Source Ref
}
