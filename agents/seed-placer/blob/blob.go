// Package blob stores files in a directory under the digest of their content. A file gets its name only after its
// content was hashed while it was written; partial files are kept in a subdirectory and can be continued.
package blob

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"hash"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/platypus-platform/platypus/agents/internal/host"
)

// ErrDigest is returned when content does not match its digest.
var ErrDigest = errors.New("its digest differs")

// Store is a directory of blobs. It is safe for concurrent use, and by several processes except for [Store.Fetch].
type Store struct {
	dir string

	mu       sync.Mutex
	fetching map[string]chan struct{} // by digest; closed when the fetch in progress has ended
}

// partial is the subdirectory of incomplete blobs.
const partial = ".partial"

// Open creates the directory, accessible to this user only.
func Open(dir string) (*Store, error) {
	if err := os.MkdirAll(filepath.Join(dir, partial), 0o700); err != nil {
		return nil, fmt.Errorf("open blobs: %w", err)
	}
	return At(dir), nil
}

// At returns a read-only store. The directory need not exist.
func At(dir string) *Store { return &Store{dir: dir, fetching: map[string]chan struct{}{}} }

// Size returns the size of a blob in bytes, or 0 if it is not stored.
func (s *Store) Size(digest string) int64 {
	at, err := os.Stat(s.Path(digest))
	if err != nil {
		return 0
	}
	return at.Size()
}

// Dir returns the directory.
func (s *Store) Dir() string { return s.dir }

// Valid reports whether digest is 64 lower-case hexadecimal digits, and so is safe as part of a path.
func Valid(digest string) bool {
	raw, err := hex.DecodeString(digest)
	return err == nil && len(raw) == sha256.Size && strings.ToLower(digest) == digest
}

// Path returns the path of a blob, stored or not.
func (s *Store) Path(digest string) string { return filepath.Join(s.dir, digest) }

// Has reports whether the complete blob is stored.
func (s *Store) Has(digest string) bool {
	at, err := os.Stat(s.Path(digest))
	return Valid(digest) && err == nil && at.Mode().IsRegular()
}

// Open opens a blob for reading.
func (s *Store) Open(digest string) (*os.File, error) {
	if !Valid(digest) {
		return nil, fmt.Errorf("open blob: %q is not 64 hexadecimal digits", digest)
	}
	return os.Open(s.Path(digest))
}

// Read returns the content of a blob of at most most bytes. It verifies the digest, because the disk may have
// corrupted the file.
func (s *Store) Read(digest string, most int64) ([]byte, error) {
	f, err := s.Open(digest)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	data, err := io.ReadAll(io.LimitReader(f, most+1))
	switch sum := sha256.Sum256(data); {
	case err != nil:
		return nil, fmt.Errorf("read blob %s: %w", digest, err)
	case int64(len(data)) > most:
		return nil, fmt.Errorf("read blob %s: it is larger than %d bytes", digest, most)
	case hex.EncodeToString(sum[:]) != digest:
		return nil, fmt.Errorf("read blob %s: %w", digest, ErrDigest)
	}
	return data, nil
}

// Put stores what it reads, and returns the digest and size.
func (s *Store) Put(from io.Reader) (digest string, size int64, err error) {
	f, err := os.CreateTemp(filepath.Join(s.dir, partial), "put-")
	if err != nil {
		return "", 0, fmt.Errorf("keep blob: %w", err)
	}
	defer os.Remove(f.Name())
	defer f.Close()
	sum := sha256.New()
	if size, err = io.Copy(io.MultiWriter(f, sum), from); err != nil {
		return "", 0, fmt.Errorf("keep blob: %w", err)
	}
	digest = hex.EncodeToString(sum.Sum(nil))
	return digest, size, s.finish(f, digest)
}

// finish syncs a complete file and moves it to its name.
func (s *Store) finish(f *os.File, digest string) error {
	if err := f.Sync(); err != nil {
		return fmt.Errorf("keep blob %s: %w", digest, err)
	}
	if err := os.Rename(f.Name(), s.Path(digest)); err != nil {
		return fmt.Errorf("keep blob %s: %w", digest, err)
	}
	return host.SyncDir(s.dir)
}

// Source returns the content of a blob from an offset on. It fails with [ErrOffset] if it has less than that.
type Source func(ctx context.Context, offset int64) (io.ReadCloser, error)

// Fetch stores a blob from a source. It verifies and continues the part of an earlier try. Content with a wrong
// digest is deleted, and the error is [ErrDigest]; if the earlier part may be wrong, because another source lied, all
// of it is fetched once more.
//
// Only one fetch of a digest runs at a time. Other callers wait for it, at most until ctx ends, and use their own
// source only if the blob is still missing.
func (s *Store) Fetch(ctx context.Context, digest string, most int64, from Source) error {
	if !Valid(digest) {
		return fmt.Errorf("fetch blob: %q is not 64 hexadecimal digits", digest)
	}
	done, err := s.begin(ctx, digest)
	if err != nil {
		return fmt.Errorf("fetch blob %s: wait for another fetch of it: %w", digest, err)
	}
	defer done()
	if s.Has(digest) {
		return nil
	}
	resumed, err := s.fetch(ctx, digest, most, from)
	if resumed && errors.Is(err, ErrDigest) {
		_, err = s.fetch(ctx, digest, most, from)
	}
	if err != nil {
		return fmt.Errorf("fetch blob %s: %w", digest, err)
	}
	return nil
}

// begin waits until nobody else fetches the blob: two writers would corrupt the partial file.
func (s *Store) begin(ctx context.Context, digest string) (done func(), err error) {
	for {
		s.mu.Lock()
		before := s.fetching[digest]
		if before == nil {
			own := make(chan struct{})
			s.fetching[digest] = own
			s.mu.Unlock()
			return func() {
				s.mu.Lock()
				delete(s.fetching, digest)
				s.mu.Unlock()
				close(own)
			}, nil
		}
		s.mu.Unlock()
		select {
		case <-before:
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	}
}

// fetch tries once, and reports whether it continued an earlier part.
func (s *Store) fetch(ctx context.Context, digest string, most int64, from Source) (resumed bool, err error) {
	f, err := os.OpenFile(filepath.Join(s.dir, partial, digest), os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return false, err
	}
	defer f.Close()
	sum := sha256.New()
	have, err := io.Copy(sum, f)
	if err != nil {
		return false, err
	}
	if hex.EncodeToString(sum.Sum(nil)) != digest {
		if err := download(ctx, f, sum, have, most, from); err != nil {
			return have > 0, err
		}
	}
	if hex.EncodeToString(sum.Sum(nil)) != digest {
		_ = os.Remove(f.Name())
		return have > 0, ErrDigest
	}
	return have > 0, s.finish(f, digest)
}

// download appends the missing content. A part that is longer than the source or the limit is deleted.
func download(ctx context.Context, f *os.File, sum hash.Hash, have, most int64, from Source) error {
	body, err := from(ctx, have)
	if errors.Is(err, ErrOffset) {
		_ = os.Remove(f.Name())
		return fmt.Errorf("%w: %w", ErrDigest, err)
	}
	if err != nil {
		return err
	}
	defer body.Close()
	n, err := io.Copy(io.MultiWriter(f, sum), io.LimitReader(body, max(0, most-have)+1))
	if err == nil && have+n > most {
		_ = os.Remove(f.Name())
		return fmt.Errorf("it is larger than %d bytes: %w", most, ErrDigest)
	}
	return err
}

// Entry is one stored blob.
type Entry struct {
	Digest string
	Size   int64
	Time   time.Time // when it was stored
}

// List returns all blobs, sorted by digest.
func (s *Store) List() ([]Entry, error) {
	files, err := os.ReadDir(s.dir)
	if err != nil {
		if errors.Is(err, fs.ErrNotExist) {
			return nil, nil
		}
		return nil, fmt.Errorf("list blobs: %w", err)
	}
	var all []Entry
	for _, f := range files {
		at, err := f.Info()
		if errors.Is(err, fs.ErrNotExist) || !Valid(f.Name()) {
			continue
		}
		if err != nil {
			return nil, fmt.Errorf("list blobs: %w", err)
		}
		all = append(all, Entry{f.Name(), at.Size(), at.ModTime()})
	}
	slices.SortFunc(all, func(a, b Entry) int { return strings.Compare(a.Digest, b.Digest) })
	return all, nil
}

// Remove deletes a blob. A missing one is not an error.
func (s *Store) Remove(digest string) error {
	if !Valid(digest) {
		return fmt.Errorf("remove blob: %q is not 64 hexadecimal digits", digest)
	}
	if err := os.Remove(s.Path(digest)); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("remove blob: %w", err)
	}
	return nil
}
