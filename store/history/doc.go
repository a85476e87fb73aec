// Package history keeps every change of what people declared: one append-only log of commits per tree, in the same
// store and, where a writer goes through this package, in the same transaction as the change itself.
//
// # Layout
//
// Everything of a tree lies below [intent.Tree.History], outside of what agents watch:
//
//	head                         JSON {seq, id, hash, …}: the only contended key, checked and set by every commit
//	window                       JSON: the floor, the checkpoints, and how often pins changed
//	c/<10 digits>/<2 digits>     commit number <12 digits>, one binary record, never overwritten
//	cp/<12 digits>/<3 digits>    a checkpoint: the whole tree after that commit, deflated, in parts
//	b/<sha256>                   a value whose deflated form is larger than 4 kB
//	names/<hex digit>            which keys the newest state has, as short hashes: a short cut for who commits once
//	tag/<name> hold/<key> forks/<name> fork
//	mirror/<name>                which commit a mirror of the log, such as a git repository, has
//
// Commits lie in hundreds, so that one list reads up to a hundred of them and none that was not asked for.
//
// # What it promises
//
//   - Value and entry are committed together or not at all. The order of a tree's commits is total, without gaps.
//   - A plain write that a commit is about to replace is recorded first, as a commit of its own in the same transaction.
//   - A plain write that nobody here was about to replace is recorded by [Log.Observe] when it next looks; one that was
//     overwritten by another plain write before that is lost, and nobody can tell. Its author is never known.
//   - Each record names the hash of the one before. Who may write below the prefix may forge; it shows.
//
// # How values are kept
//
// Values are kept byte for byte, whatever they are. Small ones lie in the record of their commit, deflated with it. Larger
// ones are kept as what differs from a keyframe, which is an earlier value of the same key in the log, never the live one:
// a plain write must not make anything unreadable. Where that does not pay they become blobs. A checkpoint holds all values
// and rests on nothing.
//
// # What is let go
//
// [Log.Compact] raises a floor: what came before it is deleted and says so when asked for. Tags, holds and forks keep what
// they rest on, and a mirror all that it does not have yet. Nothing is deleted that something above the floor rests on, and a compactor may die anywhere.
//
// Times are the writers' clocks, forced to rise by a millisecond at least from commit to commit.
package history
