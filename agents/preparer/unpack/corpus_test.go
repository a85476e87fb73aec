package unpack

import (
	"archive/tar"
	"bytes"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/klauspost/compress/gzip"
	"github.com/klauspost/compress/zstd"
)

// entry builds one tar entry; the builders below are the vocabulary of the corpora.
type entry func(w *tar.Writer) error

func put(h tar.Header, body string) entry {
	return func(w *tar.Writer) error {
		h.Size = int64(len(body))
		if h.Mode == 0 {
			h.Mode = 0o644
		}
		if h.ModTime.IsZero() {
			h.ModTime = time.Unix(1409452800, 0)
		}
		if err := w.WriteHeader(&h); err != nil {
			return err
		}
		_, err := w.Write([]byte(body))
		return err
	}
}

func reg(name, body string) entry { return put(tar.Header{Name: name, Typeflag: tar.TypeReg}, body) }
func exe(name, body string) entry {
	return put(tar.Header{Name: name, Typeflag: tar.TypeReg, Mode: 0o755}, body)
}
func dir(name string) entry {
	return put(tar.Header{Name: name, Typeflag: tar.TypeDir, Mode: 0o755}, "")
}
func sym(name, target string) entry {
	return put(tar.Header{Name: name, Linkname: target, Typeflag: tar.TypeSymlink}, "")
}
func hard(name, target string) entry {
	return put(tar.Header{Name: name, Linkname: target, Typeflag: tar.TypeLink}, "")
}
func typed(name string, flag byte) entry { return put(tar.Header{Name: name, Typeflag: flag}, "") }

// launch is what makes an archive look like an artifact.
func launch() entry { return exe("bin/launch", "#!/bin/sh\nexec sleep 1000\n") }

// tarball returns the plain tar archive of the entries.
func tarball(tb testing.TB, entries ...entry) []byte {
	tb.Helper()
	var buf bytes.Buffer
	w := tar.NewWriter(&buf)
	for _, e := range entries {
		must(tb, e(w))
	}
	must(tb, w.Close())
	return buf.Bytes()
}

func gz(plain []byte) []byte {
	var buf bytes.Buffer
	w := gzip.NewWriter(&buf)
	w.Write(plain)
	w.Close()
	return buf.Bytes()
}

func zst(plain []byte) []byte {
	w, _ := zstd.NewWriter(nil)
	defer w.Close()
	return w.EncodeAll(plain, nil)
}

func archive(tb testing.TB, entries ...entry) []byte {
	tb.Helper()
	return gz(tarball(tb, entries...))
}

// forge changes bytes of the first header of a tar archive and makes its checksum right again.
func forge(plain []byte, at int, with string) []byte {
	out := bytes.Clone(plain)
	copy(out[at:], with)
	copy(out[148:156], "        ")
	sum := 0
	for _, c := range out[:512] {
		sum += int(c)
	}
	copy(out[148:156], fmt.Sprintf("%06o\x00 ", sum))
	return out
}

// Offsets in a tar header.
const (
	atSize = 124
	atType = 156
)

// gnuSparse is a header that claims a file of 1 TiB with one byte of data, in the old GNU format.
func gnuSparse(tb testing.TB, realSize string) []byte {
	plain := tarball(tb, reg("big", "x"))
	copy(plain[257:], "ustar  \x00")
	copy(plain[345:512], make([]byte, 167))
	copy(plain[386:], "00000000000\x0000000000001\x00") // one stretch of data: one byte at 0
	copy(plain[483:], realSize)
	return forge(plain, atType, "S")
}

func deep(n int) string { return strings.Repeat("d/", n) + "f" }
