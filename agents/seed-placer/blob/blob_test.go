package blob

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"io"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"
)

func digest(data []byte) string {
	sum := sha256.Sum256(data)
	return hex.EncodeToString(sum[:])
}

func open(t *testing.T) *Store {
	t.Helper()
	s, err := Open(filepath.Join(t.TempDir(), "blobs"))
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func TestPutAndRead(t *testing.T) {
	s, data := open(t), []byte("content")
	got, size, err := s.Put(bytes.NewReader(data))
	if err != nil || got != digest(data) || size != int64(len(data)) || !s.Has(got) {
		t.Fatalf("%s %d %v", got, size, err)
	}
	if back, err := s.Read(got, 100); err != nil || !bytes.Equal(back, data) {
		t.Errorf("%q, %v", back, err)
	}
	if _, err := s.Read(got, 3); err == nil || !strings.Contains(err.Error(), "larger than 3") {
		t.Errorf("a bound of 3 bytes: %v", err)
	}
	if all, err := s.List(); err != nil || len(all) != 1 || all[0].Digest != got || all[0].Size != size {
		t.Errorf("%v, %v", all, err)
	}
	if err := errors.Join(s.Remove(got), s.Remove(got)); err != nil || s.Has(got) {
		t.Errorf("removed twice: %v", err)
	}
}

func TestChangedOnDiskIsNotRead(t *testing.T) {
	s := open(t)
	name, _, err := s.Put(strings.NewReader("content"))
	if err == nil {
		err = os.WriteFile(s.Path(name), []byte("c0ntent"), 0o600)
	}
	if err != nil {
		t.Fatal(err)
	}
	if _, err := s.Read(name, 100); !errors.Is(err, ErrDigest) {
		t.Errorf("error %v", err)
	}
}

func TestNamesThatAreNoDigest(t *testing.T) {
	s := open(t)
	for _, name := range []string{"", "..", "../x", strings.Repeat("0", 63), strings.Repeat("A", 64), strings.Repeat("0", 64) + "/..", partial, strings.Repeat("0", 62) + "\x00x"} {
		if _, err := s.Open(name); err == nil {
			t.Errorf("%q is opened", name)
		}
		if s.Has(name) || s.Remove(name) == nil {
			t.Errorf("%q is a name", name)
		}
	}
}

// cut gives data from an offset on and breaks off after n bytes.
func cut(data []byte, n int, offsets *[]int64) Source {
	return func(_ context.Context, offset int64) (io.ReadCloser, error) {
		*offsets = append(*offsets, offset)
		rest := data[offset:]
		if n < len(rest) {
			return io.NopCloser(io.MultiReader(bytes.NewReader(rest[:n]), failing{})), nil
		}
		return io.NopCloser(bytes.NewReader(rest)), nil
	}
}

type failing struct{}

func (failing) Read([]byte) (int, error) { return 0, errors.New("the link is cut") }

func TestFetchGoesOnWhereItWasCut(t *testing.T) {
	s, data, offsets := open(t), bytes.Repeat([]byte("0123456789"), 1000), []int64{}
	name := digest(data)
	for range 2 {
		if err := s.Fetch(t.Context(), name, 1<<20, cut(data, 4000, &offsets)); err == nil || s.Has(name) {
			t.Fatalf("half a blob: %v", err)
		}
	}
	if err := s.Fetch(t.Context(), name, 1<<20, cut(data, 4000, &offsets)); err != nil || !s.Has(name) {
		t.Fatal(err)
	}
	if len(offsets) != 3 || offsets[0] != 0 || offsets[1] != 4000 || offsets[2] != 8000 {
		t.Errorf("asked from %v", offsets)
	}
	if back, err := s.Read(name, 1<<20); err != nil || !bytes.Equal(back, data) {
		t.Errorf("%d bytes, %v", len(back), err)
	}
}

func TestFetchRefusesOtherContent(t *testing.T) {
	s, offsets := open(t), []int64{}
	name := digest([]byte("what is wanted"))
	if err := s.Fetch(t.Context(), name, 100, cut([]byte("something else"), 100, &offsets)); !errors.Is(err, ErrDigest) || s.Has(name) {
		t.Fatalf("error %v", err)
	}
	if err := s.Fetch(t.Context(), name, 10, cut([]byte("what is wanted"), 100, &offsets)); err == nil || !strings.Contains(err.Error(), "larger than 10") {
		t.Fatalf("error %v", err)
	}
	if err := s.Fetch(t.Context(), name, 100, cut([]byte("what is wanted"), 100, &offsets)); err != nil || !s.Has(name) {
		t.Fatalf("a bad try leaves nothing behind: %v", err)
	}
}

// TestFetchAfterALie: what somebody sent who lied and broke off does not stand in the way of who tells the truth, and
// neither does more than there is.
func TestFetchAfterALie(t *testing.T) {
	good, name := bytes.Repeat([]byte("good"), 1000), digest(bytes.Repeat([]byte("good"), 1000))
	for _, lie := range [][]byte{bytes.Repeat([]byte("evil"), 1000), bytes.Repeat([]byte("evil"), 5000)} {
		s, offsets := open(t), []int64{}
		if err := s.Fetch(t.Context(), name, 1<<20, cut(lie, len(lie)-100, &offsets)); err == nil || errors.Is(err, ErrDigest) {
			t.Fatalf("a lie that breaks off: %v", err)
		}
		honest := func(ctx context.Context, offset int64) (io.ReadCloser, error) {
			if offset > int64(len(good)) {
				return nil, ErrOffset
			}
			return cut(good, len(good), &offsets)(ctx, offset)
		}
		if err := s.Fetch(t.Context(), name, 1<<20, honest); err != nil || !s.Has(name) {
			t.Errorf("the truth after %d bytes of a lie, asked from %v: %v", len(lie)-100, offsets, err)
		}
	}
}

func TestAppend(t *testing.T) {
	s, data := open(t), bytes.Repeat([]byte("0123456789"), 1000)
	name, total := digest(data), int64(10000)
	if err := s.Append(name, 0, total, bytes.NewReader(data[:4000])); !errors.Is(err, io.ErrUnexpectedEOF) || s.Have(name) != 4000 || s.Has(name) {
		t.Fatalf("cut short: %v, %d bytes", err, s.Have(name))
	}
	for _, at := range []int64{1, 3999, 4001} {
		if err := s.Append(name, at, total, bytes.NewReader(data[at:])); !errors.Is(err, ErrOffset) || s.Have(name) != 4000 {
			t.Errorf("a part from %d on: %v, %d bytes", at, err, s.Have(name))
		}
	}
	if err := s.Append(name, 4000, total, io.MultiReader(bytes.NewReader(data[4000:5000]), failing{})); err == nil || s.Have(name) != 5000 {
		t.Errorf("broken off: %v, %d bytes", err, s.Have(name))
	}
	if err := s.Append(name, 5000, total, bytes.NewReader(append(data[5000:], "more"...))); err != nil || !s.Has(name) || s.Have(name) != 0 {
		t.Fatalf("the rest: %v", err)
	}
	if back, err := s.Read(name, 1<<20); err != nil || !bytes.Equal(back, data) {
		t.Errorf("%d bytes, %v", len(back), err)
	}
	other := digest([]byte("other"))
	if err := s.Append(other, 0, total, bytes.NewReader(data)); !errors.Is(err, ErrDigest) || s.Has(other) || s.Have(other) != 0 {
		t.Errorf("something else: %v", err)
	}
	if err := s.Append("../x", 0, total, bytes.NewReader(data)); err == nil {
		t.Error("a name that is no digest")
	}
	_ = s.Append(other, 0, total, bytes.NewReader(data[:10]))
	if err := s.Sweep(time.Hour); err != nil || s.Have(other) != 10 {
		t.Errorf("what is young is swept away: %v", err)
	}
	if err := s.Sweep(0); err != nil || s.Have(other) != 0 || !s.Has(name) {
		t.Errorf("what is old stays: %v", err)
	}
}

// TestOneFetchOfABlobAtATime: who wants a blob that is being fetched waits for that, gives up when its own time is over,
// and asks its own source only when the other has failed. Nothing is kept of fetches that have ended.
func TestOneFetchOfABlobAtATime(t *testing.T) {
	s, data := open(t), []byte("what is wanted")
	name := digest(data)
	asked, goOn, first := make(chan struct{}), make(chan error), make(chan error, 1)
	go func() {
		first <- s.Fetch(t.Context(), name, 100, func(context.Context, int64) (io.ReadCloser, error) {
			close(asked)
			return nil, <-goOn
		})
	}()
	<-asked
	over, end := context.WithCancel(t.Context())
	end()
	never := func(context.Context, int64) (io.ReadCloser, error) {
		t.Error("a second source is asked while the first is at work")
		return nil, io.ErrUnexpectedEOF
	}
	if err := s.Fetch(over, name, 100, never); !errors.Is(err, context.Canceled) {
		t.Errorf("who has no time left: %v", err)
	}
	var bodies atomic.Int64
	rest := make(chan error, 10)
	for range cap(rest) {
		go func() {
			rest <- s.Fetch(t.Context(), name, 100, func(context.Context, int64) (io.ReadCloser, error) {
				bodies.Add(1)
				return io.NopCloser(bytes.NewReader(data)), nil
			})
		}()
	}
	goOn <- errors.New("the link is cut")
	if err := <-first; err == nil {
		t.Error("a source that fails is no error")
	}
	for range cap(rest) {
		if err := <-rest; err != nil {
			t.Error(err)
		}
	}
	if n := bodies.Load(); n != 1 || !s.Has(name) {
		t.Errorf("it was brought here %d times", n)
	}
	if len(s.fetching) != 0 {
		t.Errorf("of fetches that have ended, %d are kept", len(s.fetching))
	}
}
