package engine

import (
	"bytes"
	"encoding/binary"
	"testing"

	"pgregory.net/rapid"
)

// memoryOf is what a data section makes of an empty memory, and of how many segments.
func memoryOf(t rapidOrTest, section []byte, size int) ([]byte, uint64) {
	memory := make([]byte, size)
	count, n := binary.Uvarint(section)
	rest := section[n:]
	for range count {
		offset, data, after, ok := parseSegment(rest)
		if !ok {
			t.Fatalf("%x is no segment", rest)
		}
		copy(memory[offset:], data)
		rest = after
	}
	if len(rest) > 0 {
		t.Fatalf("%x is left", rest)
	}
	return memory, count
}

type rapidOrTest interface{ Fatalf(string, ...any) }

// TestMergeSegments: whatever the segments, they make the same memory, and there are no more of them.
func TestMergeSegments(t *testing.T) {
	const size = 1 << 17
	rapid.Check(t, func(t *rapid.T) {
		var all bytes.Buffer
		pieces := rapid.IntRange(0, 20).Draw(t, "pieces")
		at := 0
		for range pieces {
			at += rapid.SampledFrom([]int{0, 1, 40, 63, 64, 65, maxGap, maxGap + 1, 5000, -3, -2000}).Draw(t, "gap")
			data := rapid.SliceOfN(rapid.Byte(), 0, 300).Draw(t, "data")
			all.Write([]byte{0, opI32Const})
			all.Write(signedLEB(int32(max(0, at))))
			all.WriteByte(opEnd)
			all.Write(append(binary.AppendUvarint(nil, uint64(len(data))), data...))
			at = max(0, at) + len(data)
		}
		section := append(binary.AppendUvarint(nil, uint64(pieces)), all.Bytes()...)
		want, before := memoryOf(t, section, size)
		got, after := memoryOf(t, mergeSegments(section), size)
		if !bytes.Equal(got, want) || after > before {
			t.Fatalf("%d segments became %d, with the same in them: %v", before, after, bytes.Equal(got, want))
		}
	})
	for _, other := range []string{"", "\x01", "\x01\x01\x01x", "\x01\x02\x00\x41\x00\x0b\x01x", "\x01\x00\x23\x00\x0b\x01x", "\x01\x00\x41\x00\x0b\x01xy"} {
		if got := mergeSegments([]byte(other)); string(got) != other {
			t.Errorf("%x became %x", other, got)
		}
	}
	if offset, _, _, ok := parseSegment([]byte("\x00\x41\x80\x80\x80\x80\x78\x0b\x00")); !ok || offset != 1<<31 {
		t.Errorf("the upper half of a memory: %d %v", offset, ok)
	}
}
