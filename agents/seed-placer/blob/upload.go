package blob

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"time"
)

// ErrOffset is returned when a part does not start where the stored part ends.
var ErrOffset = errors.New("it does not go on where the last part ended")

func (s *Store) uploading(digest string) string {
	return filepath.Join(s.dir, partial, "up-"+digest)
}

// Have returns how many bytes of a blob [Store.Append] has stored so far.
func (s *Store) Have(digest string) int64 {
	if at, err := os.Stat(s.uploading(digest)); err == nil && Valid(digest) {
		return at.Size()
	}
	return 0
}

// Append stores a part of a blob: from holds its bytes from at to total. It first verifies the stored part. If from
// ends early, its bytes are kept for the next part; content with a wrong digest is deleted, and the error is
// [ErrDigest]. A part from 0 on starts again. Only one caller may append to a blob at a time.
func (s *Store) Append(digest string, at, total int64, from io.Reader) error {
	if !Valid(digest) {
		return fmt.Errorf("keep blob: %q is not 64 hexadecimal digits", digest)
	}
	f, err := os.OpenFile(s.uploading(digest), os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return fmt.Errorf("keep blob %s: %w", digest, err)
	}
	defer f.Close()
	if at == 0 {
		if err := f.Truncate(0); err != nil {
			return fmt.Errorf("keep blob %s: %w", digest, err)
		}
	}
	sum := sha256.New()
	have, err := io.Copy(sum, f)
	if err != nil {
		return fmt.Errorf("keep blob %s: %w", digest, err)
	}
	if have != at {
		return fmt.Errorf("keep blob %s: %d bytes are here, and what comes begins at %d: %w", digest, have, at, ErrOffset)
	}
	n, err := io.Copy(io.MultiWriter(f, sum), io.LimitReader(from, total-at))
	if err == nil && at+n < total {
		err = io.ErrUnexpectedEOF
	}
	if err != nil {
		return fmt.Errorf("keep blob %s: %d of %d bytes came: %w", digest, at+n, total, err)
	}
	if got := hex.EncodeToString(sum.Sum(nil)); got != digest {
		_ = os.Remove(f.Name())
		return fmt.Errorf("keep blob %s: what came is sha256:%s: %w", digest, got, ErrDigest)
	}
	return s.finish(f, digest)
}

// Touch resets the age of a blob.
func (s *Store) Touch(digest string) error {
	now := time.Now()
	return os.Chtimes(s.Path(digest), now, now)
}

// Sweep deletes incomplete blobs that were not continued for longer than age.
func (s *Store) Sweep(age time.Duration) error {
	parts, err := os.ReadDir(filepath.Join(s.dir, partial))
	if err != nil {
		return fmt.Errorf("sweep blobs: %w", err)
	}
	for _, part := range parts {
		at, err := part.Info()
		if err != nil || time.Since(at.ModTime()) < age {
			continue
		}
		if err := os.Remove(filepath.Join(s.dir, partial, part.Name())); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return fmt.Errorf("sweep blobs: %w", err)
		}
	}
	return nil
}
