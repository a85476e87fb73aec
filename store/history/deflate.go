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

// A writer takes a megabyte and a reader tens of kilobytes, so they are pooled. A writer keeps its dictionary.
var (
	recordWriters = sync.Pool{New: func() any { return newWriter([]byte(dictionary)) }}
	plainWriters  = sync.Pool{New: func() any { return newWriter(nil) }}
	readers       = sync.Pool{New: func() any { return flate.NewReader(strings.NewReader("")) }}
)

func newWriter(dict []byte) *flate.Writer {
	w, err := flate.NewWriterDict(io.Discard, flate.DefaultCompression, dict)
	if err != nil {
		panic(err) // the level is valid
	}
	return w
}

// deflateRecord appends the compressed form of plain to prefix, with the dictionary of records.
func deflateRecord(prefix, plain []byte) []byte {
	w := recordWriters.Get().(*flate.Writer)
	defer recordWriters.Put(w)
	return deflateInto(w, prefix, plain)
}

// deflate appends the compressed form of plain to prefix.
func deflate(prefix, plain []byte) []byte {
	w := plainWriters.Get().(*flate.Writer)
	defer plainWriters.Put(w)
	return deflateInto(w, prefix, plain)
}

// deflateWithDict compresses plain with a dictionary that it resembles.
func deflateWithDict(dict, plain []byte) []byte { return deflateInto(newWriter(dict), nil, plain) }

func deflateInto(w *flate.Writer, prefix, plain []byte) []byte {
	b := bytes.NewBuffer(prefix)
	w.Reset(b)
	_, err := w.Write(plain)
	if err == nil {
		err = w.Close()
	}
	if err != nil {
		panic(err) // writes to memory do not fail
	}
	return b.Bytes()
}

// inflate reverses the functions above; data must start with prefix. Bytes after the end of the compressed data are an
// error.
func inflate(data []byte, prefix string, dict []byte) ([]byte, error) {
	rest, ok := bytes.CutPrefix(data, []byte(prefix))
	if !ok {
		return nil, fmt.Errorf("it does not begin with %q", prefix)
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
