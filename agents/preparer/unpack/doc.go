// Package unpack extracts a compressed tar archive, which nobody has vouched for yet, into a directory of its own.
//
// [Archive] reads .tar.gz (one or many members) and .tar.zst, told apart by their first bytes. It keeps three promises:
//
//   - Nothing outside the directory is read, written or linked to. Every path is opened through [os.Root], and the
//     names and link targets, which os.Root does not judge, are judged here first.
//   - What is installed is plain: files and directories as private as they were packed and writable by their owner alone
//     (0600 stays 0600, 0666 becomes 0644), relative links that stay inside. Owners, extended attributes, setuid, setgid and sticky bits are dropped;
//     devices and pipes are refused.
//   - An archive is whole or it is refused: checksums, the end-of-archive blocks and the absence of anything after
//     them are all checked, and [Limits] bound what a hostile one can cost.
//
// # Digest and extraction run side by side
//
// Archive hashes the very bytes it extracts and returns the digest when all of them have been read. The digest is
// therefore known only after the files exist, so the directory must be one that nobody else looks at: a caller
// extracts into a private staging directory, compares the digest, and only then renames the directory into place.
// When the digest does not hold, the staging directory is thrown away. No byte becomes visible unverified.
//
// Data reaches the disk by [Sync], once for the whole tree, and not by Archive.
package unpack

// Limits bound one extraction. A zero field takes its default from [DefaultLimits].
type Limits struct {
	Bytes   int64 // content of all files together, in bytes; holes of sparse files count in full
	Entries int   // entries in the archive plus directories made for them
	Ratio   int64 // plain bytes for each compressed byte, enforced once RatioFrom plain bytes have been read
	Depth   int   // path components of one name
	Name    int   // bytes of one name or link target
}

// RatioFrom is the number of plain bytes (32 MiB) below which Limits.Ratio is not enforced, since a small archive of
// blank files is harmless however well it compresses.
const RatioFrom = 32 << 20

// namesTotal bounds the memory that the names of one archive may hold.
const namesTotal = 16 << 20

// DefaultLimits returns 4 GiB, 100,000 entries, ratio 200, depth 64 and names of 2048 bytes.
func DefaultLimits() Limits {
	return Limits{Bytes: 4 << 30, Entries: 100_000, Ratio: 200, Depth: 64, Name: 2048}
}

func (l Limits) withDefaults() Limits {
	d := DefaultLimits()
	if l.Bytes > 0 {
		d.Bytes = l.Bytes
	}
	if l.Entries > 0 {
		d.Entries = l.Entries
	}
	if l.Ratio > 0 {
		d.Ratio = l.Ratio
	}
	if l.Depth > 0 {
		d.Depth = l.Depth
	}
	if l.Name > 0 {
		d.Name = l.Name
	}
	return d
}

// Result tells what one extraction read and made.
type Result struct {
	SHA256 string // lower-case hex of all compressed bytes; empty when the source was not read to its end
	Size   int64  // compressed bytes read
	Bytes  int64  // content written, in bytes
	Files  int    // files, links and directories made
}
