// Package history records every change of declared intent: one append-only log of commits per tree, in the same store
// as the tree. Writers that use this package record the change in the same transaction.
//
// # Layout
//
// Everything lies below [intent.Tree.History], outside of what agents watch:
//
//	head                         JSON {seq, id, hash, …}: the only contended key, checked and set by every commit
//	window                       JSON: the retention state: the floor, the checkpoints, and how often pins changed
//	c/<10 digits>/<2 digits>     commit number <12 digits>, one binary record, never overwritten
//	cp/<12 digits>/<3 digits>    a checkpoint: the whole tree after that commit, compressed, in parts
//	b/<sha256>                   a value whose compressed form is larger than 4 kB
//	names/<hex digit>            the key index: short hashes of the keys of the newest state, for a fast read
//	tag/<name> hold/<key> forks/<name> fork
//	mirror/<name>                which commit a mirror of the log, such as a git repository, has
//
// Commits are grouped by hundreds, so that one list reads up to a hundred of them and no others.
//
// # Guarantees
//
//   - Value and entry are committed together or not at all. The commits of a tree have a total order without gaps.
//   - A plain write that a commit is about to replace is recorded first, as a separate commit in the same transaction.
//   - Any other plain write is recorded by the next [Log.Observe]. One that another plain write replaced before that is
//     lost without a trace. The author of a plain write is never known.
//   - Each record contains the hash of the previous one. Anyone with write access can tamper; tampering is detectable.
//
// # How values are stored
//
// Values are stored byte for byte. Small ones are in the record of their commit, compressed with it. Larger ones are
// stored as a delta against a keyframe: an earlier value of the same key in the log, never the live one, so that a
// plain write cannot make anything unreadable. If a delta is not small enough, the value becomes a blob. A checkpoint
// contains all values and depends on nothing.
//
// # What is deleted
//
// [Log.Compact] raises a floor: commits before it are deleted, and reading one returns [ErrCompacted]. Tags, holds and
// forks keep the commits they depend on, and a mirror keeps all that it does not have yet. Nothing is deleted that
// something above the floor depends on. A compactor can be killed at any moment.
//
// Times come from the writers' clocks, but each commit is at least a millisecond later than the previous one.
package history
