package unpack

import (
	"archive/tar"
	"errors"
	"fmt"
	"io"

	"github.com/klauspost/compress/gzip"
	"github.com/klauspost/compress/zstd"
)

// Reason is why an archive is refused. Trouble with the disk or the source is not a Reason but a plain error.
type Reason string

// The reasons an archive is refused for.
const (
	NotArchive   Reason = "neither gzip nor zstd"
	Corrupt      Reason = "compressed data is corrupt"
	Checksum     Reason = "checksum does not match"
	Truncated    Reason = "archive ends too early"
	NoEnd        Reason = "end-of-archive blocks are missing"
	Trailing     Reason = "data follows the end of the archive"
	BadHeader    Reason = "tar header is malformed"
	Empty        Reason = "archive holds nothing"
	Absolute     Reason = "name is absolute"
	Parent       Reason = "name contains .."
	BadName      Reason = "name is not usable"
	TooLong      Reason = "name is too long"
	TooDeep      Reason = "path is too deep"
	TooMany      Reason = "too many entries"
	TooBig       Reason = "content is too big"
	TooDense     Reason = "compression ratio is too high"
	ThroughLink  Reason = "path leads through a link"
	Clash        Reason = "name is already taken"
	LinkAbsolute Reason = "link target is absolute"
	LinkEscapes  Reason = "link target leaves the tree"
	LinkMissing  Reason = "hard link target was not extracted before"
	Special      Reason = "entry is a device or pipe"
	Unsupported  Reason = "entry type is not supported"
)

// Error is a refused archive: which entry, and why.
type Error struct {
	Entry  string // name as the archive spells it; empty when the fault is not in one entry
	Reason Reason
	Detail string // the offending value, when there is one
	Err    error  // the decoder's own error, when there is one
}

// Error says what was refused and why, in one line.
func (e *Error) Error() string {
	s := string(e.Reason)
	if e.Entry != "" {
		s = fmt.Sprintf("entry %.200q: %s", e.Entry, s)
	}
	if e.Detail != "" {
		s += " (" + e.Detail + ")"
	}
	if e.Err != nil {
		s += ": " + e.Err.Error()
	}
	return s
}

// Unwrap returns the decoder's own error, which may be nil.
func (e *Error) Unwrap() error { return e.Err }

func refuse(entry string, r Reason) error { return &Error{Entry: entry, Reason: r} }

func refusef(entry string, r Reason, format string, args ...any) error {
	return &Error{Entry: entry, Reason: r, Detail: fmt.Sprintf(format, args...)}
}

// classify turns an error of the decoders into a reason. entry is the last entry whose header was read.
func classify(entry string, err error) error {
	var known *Error
	switch {
	case errors.As(err, &known):
		return err
	case errors.Is(err, gzip.ErrChecksum), errors.Is(err, zstd.ErrCRCMismatch):
		return &Error{Entry: entry, Reason: Checksum, Err: err}
	case errors.Is(err, io.ErrUnexpectedEOF):
		return &Error{Entry: entry, Reason: Truncated}
	case errors.Is(err, tar.ErrHeader), errors.Is(err, tar.ErrFieldTooLong):
		return &Error{Entry: entry, Reason: BadHeader, Err: err}
	case errors.Is(err, zstd.ErrWindowSizeExceeded), errors.Is(err, zstd.ErrDecoderSizeExceeded):
		return &Error{Entry: entry, Reason: TooBig, Err: err}
	default:
		return &Error{Entry: entry, Reason: Corrupt, Err: err}
	}
}
