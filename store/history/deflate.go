package history

import (
	"bytes"
	"compress/flate"
	"errors"
	"fmt"
	"io"
	"strings"
)

// deflate appends the deflated form of plain to front. The dictionary is what plain is likely to resemble.
func deflate(front, plain, dict []byte) []byte {
	b := bytes.NewBuffer(front)
	w, err := flate.NewWriterDict(b, flate.DefaultCompression, dict)
	if err == nil {
		_, err = w.Write(plain)
	}
	if err == nil {
		err = w.Close()
	}
	if err != nil {
		panic(err) // memory takes every write, and the level is right
	}
	return b.Bytes()
}

// inflate is the reverse of deflate; front must be there. What follows the end of the deflated data is a fault, too.
func inflate(data []byte, front string, dict []byte) ([]byte, error) {
	rest, ok := strings.CutPrefix(string(data), front)
	if !ok {
		return nil, fmt.Errorf("it does not begin with %q", front)
	}
	source := strings.NewReader(rest)
	r := flate.NewReaderDict(source, dict)
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
