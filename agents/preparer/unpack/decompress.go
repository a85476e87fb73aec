package unpack

import (
	"bufio"
	"bytes"
	"io"

	"github.com/klauspost/compress/gzip"
	"github.com/klauspost/compress/zstd"
)

const (
	decompressChunk  = 256 << 10
	decompressChunks = 12
	zstdWindow       = 16 << 20 // enough for every level below --ultra; more would let an archive choose our memory
)

// decompressor decompresses ahead of the tar reader, in a goroutine of its own.
type decompressor struct {
	full     chan []byte
	free     chan []byte
	quit     chan struct{}
	unread   []byte
	chunk    []byte
	err      error // why the decompressor ended; valid once full is closed
	read     int64 // plain bytes handed out
	zeros    int64 // length of the run of zero bytes that what was handed out ends in
	maxBytes int64
	ratio    int64
	source   *readAhead
}

// newDecompressor tells the format by its first bytes and starts to decompress. closed must be called at the end.
func newDecompressor(s *readAhead, lim Limits) (*decompressor, error) {
	head := bufio.NewReaderSize(s, 64<<10)
	magic, err := head.Peek(4)
	if err != nil && err != io.EOF {
		return nil, err
	}
	var r io.ReadCloser
	switch {
	case bytes.HasPrefix(magic, []byte{0x1f, 0x8b}):
		r, err = gzip.NewReader(head)
	case bytes.Equal(magic, []byte{0x28, 0xb5, 0x2f, 0xfd}), len(magic) == 4 && magic[0]>>4 == 5 && bytes.Equal(magic[1:], []byte{0x2a, 0x4d, 0x18}):
		var d *zstd.Decoder
		d, err = zstd.NewReader(head, zstd.WithDecoderConcurrency(1), zstd.WithDecoderLowmem(true), zstd.WithDecoderMaxWindow(zstdWindow))
		if err == nil {
			r = d.IOReadCloser()
		}
	default:
		return nil, &Error{Reason: NotArchive, Detail: describeMagic(magic)}
	}
	if err != nil {
		return nil, err
	}
	p := &decompressor{
		full:     make(chan []byte, decompressChunks),
		free:     make(chan []byte, decompressChunks),
		quit:     make(chan struct{}),
		maxBytes: lim.Bytes + int64(lim.Entries)*4096,
		ratio:    lim.Ratio,
		source:   s,
	}
	for range decompressChunks {
		p.free <- make([]byte, decompressChunk)
	}
	go p.pump(r)
	return p, nil
}

func (p *decompressor) pump(r io.ReadCloser) {
	defer close(p.full)
	defer r.Close()
	for {
		var buf []byte
		select {
		case buf = <-p.free:
		case <-p.quit:
			return
		}
		n, err := 0, error(nil)
		for n < decompressChunk && err == nil {
			var more int
			more, err = r.Read(buf[n:decompressChunk])
			n += more
		}
		if n > 0 {
			p.full <- buf[:n]
		}
		if err != nil {
			p.err = err
			return
		}
	}
}

// Read hands out plain bytes, and refuses to go on beyond the limits.
func (p *decompressor) Read(b []byte) (int, error) {
	if len(p.unread) == 0 {
		if p.chunk != nil {
			p.free <- p.chunk
			p.chunk = nil
		}
		buf, ok := <-p.full
		if !ok {
			return 0, p.err
		}
		p.unread, p.chunk = buf, buf
	}
	n := copy(b, p.unread)
	p.unread = p.unread[n:]
	p.read += int64(n)
	p.countZeros(b[:n])
	if p.read > p.maxBytes {
		return n, refusef("", TooBig, "more than %d plain bytes", p.maxBytes)
	}
	return n, p.checkRatio(p.read)
}

// checkRatio refuses when n plain bytes are too many for the compressed bytes read so far.
func (p *decompressor) checkRatio(n int64) error {
	if in := p.source.consumed.Load(); n > RatioFrom && n/p.ratio > in {
		return refusef("", TooDense, "%d bytes from %d, limit %d", n, in, p.ratio)
	}
	return nil
}

func (p *decompressor) countZeros(b []byte) {
	tail := bytes.TrimRight(b, "\x00")
	if len(tail) > 0 {
		p.zeros = 0
	}
	p.zeros += int64(len(b) - len(tail))
}

// stop ends the decompressor and waits for it, so that the source is free again.
func (p *decompressor) stop() {
	close(p.quit)
	for range p.full {
	}
}

// describeMagic names what people put in the place of an archive, from its first bytes, which themselves are never told: they
// may be of a file that was not meant to be read.
func describeMagic(magic []byte) string {
	switch {
	case bytes.HasPrefix(magic, []byte("<")):
		return "it looks like a web page"
	case bytes.HasPrefix(magic, []byte("PK")):
		return "it looks like a zip file"
	case bytes.HasPrefix(magic, []byte("BZh")):
		return "it looks like bzip2"
	case bytes.HasPrefix(magic, []byte("\xfd7zX")):
		return "it looks like xz"
	case len(magic) == 0:
		return "it is empty"
	}
	return ""
}
