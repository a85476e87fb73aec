package unpack

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"hash"
	"io"
	"sync/atomic"
)

const (
	readAheadChunk  = 256 << 10
	readAheadChunks = 6
)

// readAhead reads ahead of the decompressor in a goroutine of its own, and hashes there what it has read.
type readAhead struct {
	full     chan []byte
	free     chan []byte
	quit     chan struct{}
	done     chan struct{}
	unread   []byte // what is left of the chunk in hand
	chunk    []byte // the chunk in hand
	sum      hash.Hash
	err      error // why the pump ended; io.EOF at the end of the source. Valid once full is closed.
	consumed atomic.Int64
}

func newReadAhead(ctx context.Context, r io.Reader) *readAhead {
	s := &readAhead{
		full: make(chan []byte, readAheadChunks),
		free: make(chan []byte, readAheadChunks),
		quit: make(chan struct{}),
		done: make(chan struct{}),
		sum:  sha256.New(),
	}
	for range readAheadChunks {
		s.free <- make([]byte, readAheadChunk)
	}
	go s.pump(ctx, r)
	return s
}

func (s *readAhead) pump(ctx context.Context, r io.Reader) {
	defer close(s.done)
	defer close(s.full)
	for {
		var buf []byte
		select {
		case buf = <-s.free:
		case <-s.quit:
			s.err = context.Canceled
			return
		}
		if s.err = ctx.Err(); s.err != nil {
			return
		}
		n, err := r.Read(buf[:cap(buf)])
		s.sum.Write(buf[:n])
		if n > 0 {
			s.full <- buf[:n]
		} else {
			s.free <- buf
		}
		if err != nil {
			s.err = err
			return
		}
	}
}

// Read hands out what was read ahead.
func (s *readAhead) Read(p []byte) (int, error) {
	if len(s.unread) == 0 {
		if s.chunk != nil {
			s.free <- s.chunk
			s.chunk = nil
		}
		buf, ok := <-s.full
		if !ok {
			return 0, s.err
		}
		s.unread, s.chunk = buf, buf
	}
	n := copy(p, s.unread)
	s.unread = s.unread[n:]
	s.consumed.Add(int64(n))
	return n, nil
}

// digest reads the source to its end, whatever became of the extraction, and returns its digest and size. Another
// error than io.EOF is the source's own.
func (s *readAhead) digest() (string, int64, error) {
	for {
		s.consumed.Add(int64(len(s.unread)))
		s.unread = nil
		if s.chunk != nil {
			s.free <- s.chunk
			s.chunk = nil
		}
		buf, ok := <-s.full
		if !ok {
			break
		}
		s.unread, s.chunk = buf, buf
	}
	if s.err != io.EOF {
		return "", s.consumed.Load(), s.err
	}
	return hex.EncodeToString(s.sum.Sum(nil)), s.consumed.Load(), nil
}

// stop ends the pump and waits for it.
func (s *readAhead) stop() {
	close(s.quit)
	for range s.full {
	}
	<-s.done
}
