package history

import (
	"bytes"
	"compress/flate"
	"errors"
	"fmt"
	"io"
	"strings"
	"sync"
)

// A writer weighs a megabyte and a reader tens of kilobytes, so they are used again. A writer keeps its dictionary.
var (
	recordWriters = sync.Pool{New: func() any { return newWriter([]byte(dictionary)) }}
	plainWriters  = sync.Pool{New: func() any { return newWriter(nil) }}
	readers       = sync.Pool{New: func() any { return flate.NewReader(strings.NewReader("")) }}
)

func newWriter(dict []byte) *flate.Writer {
	w, err := flate.NewWriterDict(io.Discard, flate.DefaultCompression, dict)
	if err != nil {
		panic(err) // the level is right
	}
	return w
}

// deflateRecord appends the deflated form of plain, which resembles the dictionary of records, to front.
func deflateRecord(front, plain []byte) []byte {
	w := recordWriters.Get().(*flate.Writer)
	defer recordWriters.Put(w)
	return deflateWith(w, front, plain)
}

// deflate appends the deflated form of plain to front.
func deflate(front, plain []byte) []byte {
	w := plainWriters.Get().(*flate.Writer)
	defer plainWriters.Put(w)
	return deflateWith(w, front, plain)
}

// deflateLike is the deflated form of plain for who has a frame that it resembles.
func deflateLike(frame, plain []byte) []byte { return deflateWith(newWriter(frame), nil, plain) }

func deflateWith(w *flate.Writer, front, plain []byte) []byte {
	b := bytes.NewBuffer(front)
	w.Reset(b)
	_, err := w.Write(plain)
	if err == nil {
		err = w.Close()
	}
	if err != nil {
		panic(err) // memory takes every write
	}
	return b.Bytes()
}

// inflate is the reverse of all of them; front must be there. What follows the end of the deflated data is a fault, too.
func inflate(data []byte, front string, dict []byte) ([]byte, error) {
	rest, ok := bytes.CutPrefix(data, []byte(front))
	if !ok {
		return nil, fmt.Errorf("it does not begin with %q", front)
	}
	r := readers.Get().(io.ReadCloser)
	defer readers.Put(r)
	source := bytes.NewReader(rest)
	if err := r.(flate.Resetter).Reset(source, dict); err != nil {
		return nil, err
	}
	plain, err := readAll(r, maxPlain)
	switch {
	case errors.Is(err, io.ErrUnexpectedEOF):
		return nil, errors.New("it is cut off")
	case err != nil:
		return nil, err
	case source.Len() > 0:
		return nil, fmt.Errorf("%d bytes follow its end", source.Len())
	}
	return plain, nil
}
