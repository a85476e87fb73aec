package history

import (
	"context"
	"time"

	"github.com/platypus-platform/platypus/intent"
)

// Kind is what a commit is.
type Kind string

// The kinds of commits.
const (
	Set      Kind = "set"      // somebody declared something
	Rollback Kind = "rollback" // somebody put back what was before
	Join     Kind = "join"     // the changes of another tree
	Fork     Kind = "fork"     // the first of a fork: its content is that of another tree at one commit
	Observed Kind = "observed" // found in the store: written by nobody who goes through this package
	Import   Kind = "import"   // from an export
)

// Proof is how an author is known.
type Proof string

// The proofs.
const (
	Accessor Proof = "accessor" // the store vouches for the token
	Claimed  Proof = "claimed"  // the writer said so
	Unknown  Proof = "unknown"  // a plain write
)

// Author is who made a change.
type Author struct {
	Name     string `json:"name,omitempty"` // user@host, or what the store calls the token
	Accessor string `json:"accessor,omitempty"`
	Proof    Proof  `json:"proof"`
}

// Ref is a commit of some tree.
type Ref struct {
	Root string `json:"root"` // see [intent.Tree.Root]
	Seq  uint64 `json:"seq"`
}

// Note is what people know of a commit.
type Note struct {
	Author  Author `json:"author"`
	Via     string `json:"via,omitempty"` // the program: cli, recorder, …
	Message string `json:"message,omitempty"`
	Reverts uint64 `json:"reverts,omitempty"` // the commit that this one takes back
	Parents []Ref  `json:"parents,omitempty"` // the other trees' commits that went into it
}

// Op is what a change did.
type Op string

// The operations.
const (
	Put    Op = "put"
	Delete Op = "delete"
)

// Interval is what is known of when a plain write happened: after one index and time and not after another. There was
// at least one write in between; there may have been more.
type Interval struct {
	After uint64    `json:"after"` // index at which the state before was known to stand
	At    uint64    `json:"at"`    // index at which the new state was known to stand
	Since time.Time `json:"since"`
	Until time.Time `json:"until"`
}

// Change is what a commit did to one key.
type Change struct {
	Key       string    `json:"key"` // below the tree, such as clusters/slug/production/config
	Op        Op        `json:"op"`
	Base      uint64    `json:"base"`                // ModifyIndex of what it replaced; 0: the key was absent
	Index     uint64    `json:"index"`               // ModifyIndex of what it left; of a delete: at most this
	SHA       Hash      `json:"sha,omitzero"`        // of the value
	Size      int       `json:"size"`                // bytes of the value
	Recreated bool      `json:"recreated,omitempty"` // the key had been deleted in between
	Seen      *Interval `json:"seen,omitempty"`      // of a plain write
	Value     []byte    `json:"-"`                   // nil until it was asked for: see [Query] and [Log.Show]

	stored stored
}

// Commit is one entry of the log.
type Commit struct {
	Seq     uint64    `json:"seq"`   // from 1, without gaps
	Index   uint64    `json:"index"` // ModifyIndex of the entry, and of the values that it describes
	ID      string    `json:"id"`    // random; a writer finds its own commit by it
	At      time.Time `json:"at"`
	Kind    Kind      `json:"kind"`
	Note    Note      `json:"note"`
	Prev    Hash      `json:"prev"`
	Hash    Hash      `json:"hash"` // SHA-256 of the record as it lies in the store
	Changes []Change  `json:"changes"`
	Fault   error     `json:"-"` // why the entry cannot be believed; the rest may be empty then
}

// Value is what stood at one key.
type Value struct {
	Key     string
	Data    []byte
	SHA     Hash
	Seq     uint64 // the commit that set it
	Index   uint64 // its ModifyIndex
	Created uint64 // its CreateIndex; 0 when that is not known
}

// Edit is one change that is asked for.
type Edit struct {
	Key    string // below the tree
	Value  []byte
	Delete bool
}

// Request asks for a commit.
type Request struct {
	Kind       Kind // Set when empty
	Note       Note
	Edits      []Edit
	Expect     map[string]uint64 // key below the tree to the ModifyIndex that it must have, 0 for absent; any key, edited or not
	CheckIndex uint64            // unless 0: nothing of the tree may be newer than this index
	Force      bool              // pass holds
	Joined     *Joined           // what a join adds to the record of a fork, in the same transaction
	Also       []string          // further keys below the tree that Judge is to see

	// Judge, unless nil, hears how the keys of the request and those of Also stood at one moment, before anything is written;
	// ModifyIndex is 0 where there is none. Its error ends the commit. It is called again when a commit is tried again.
	Judge func(ctx context.Context, live map[string]intent.Pair) error
}

// Joined says that the commit to be made contains all of another tree as of one of its commits.
type Joined struct {
	Fork   intent.Tree // whose record keeps it: the fork, of the two trees
	Source Ref
}
