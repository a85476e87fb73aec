package engine

import (
	"cmp"
	"encoding/binary"
	"slices"
)

// maxGap is the longest run of zeros, in bytes, that is written to merge two segments. Toolchains omit zeros and
// produce thousands of segments, each of which costs more than its zeros.
const maxGap = 256

type dataSegment struct {
	offset uint64
	data   []byte
}

// mergeSegments merges neighbouring segments of a data section if that is safe: all are active at a constant offset,
// and none overlap. Otherwise it returns the section unchanged.
func mergeSegments(section []byte) []byte {
	pieces, ok := parseSegments(section)
	if !ok {
		return section
	}
	out := make([]byte, 0, len(section))
	segments := uint64(0)
	for len(pieces) > 0 {
		first, end, n := pieces[0], pieces[0].offset, 0
		for n < len(pieces) && (n == 0 || pieces[n].offset-end <= maxGap) {
			end = pieces[n].offset + uint64(len(pieces[n].data))
			n++
		}
		out = append(out, 0, opI32Const)
		out = append(out, signedLEB(int32(uint32(first.offset)))...)
		out = binary.AppendUvarint(append(out, opEnd), end-first.offset)
		at := first.offset
		for _, one := range pieces[:n] {
			out = append(out, zeros[:one.offset-at]...)
			out = append(out, one.data...)
			at = one.offset + uint64(len(one.data))
		}
		pieces, segments = pieces[n:], segments+1
	}
	return append(binary.AppendUvarint(nil, segments), out...)
}

var zeros [maxGap]byte

// parseSegments decodes a data section and sorts it by offset. ok is false if it cannot be merged safely.
func parseSegments(section []byte) (all []dataSegment, ok bool) {
	count, n := binary.Uvarint(section)
	if n <= 0 {
		return nil, false
	}
	rest := section[n:]
	for range count {
		var one dataSegment
		if one.offset, one.data, rest, ok = parseSegment(rest); !ok || len(one.data) == 0 { // an empty segment still checks its offset
			return nil, false
		}
		all = append(all, one)
	}
	slices.SortFunc(all, func(a, b dataSegment) int { return cmp.Compare(a.offset, b.offset) })
	for i := range all[min(1, len(all)):] {
		if all[i].offset+uint64(len(all[i].data)) > all[i+1].offset {
			return nil, false
		}
	}
	return all, len(rest) == 0
}

// Opcodes of an offset expression.
const (
	opI32Const = 0x41 // i32.const
	opEnd      = 0x0b
)

// parseSegment decodes an active segment with a constant offset in the first memory.
func parseSegment(from []byte) (offset uint64, data, rest []byte, ok bool) {
	if len(from) < 2 || from[0] != 0 || from[1] != opI32Const {
		return 0, nil, nil, false
	}
	from = from[2:]
	var value int64
	for shift, done := 0, false; !done; shift += 7 {
		if len(from) == 0 || shift > 28 {
			return 0, nil, nil, false
		}
		b := from[0]
		from = from[1:]
		value |= int64(b&0x7f) << shift
		if done = b&0x80 == 0; done && b&0x40 != 0 {
			value |= -1 << (shift + 7)
		}
	}
	if len(from) == 0 || from[0] != opEnd {
		return 0, nil, nil, false
	}
	size, n := binary.Uvarint(from[1:])
	if n <= 0 || size > uint64(len(from)-1-n) {
		return 0, nil, nil, false
	}
	from = from[1+n:]
	return uint64(uint32(value)), from[:size], from[size:], true
}

func signedLEB(v int32) (b []byte) {
	for {
		low := byte(v & 0x7f)
		v >>= 7
		if v == 0 && low&0x40 == 0 || v == -1 && low&0x40 != 0 {
			return append(b, low)
		}
		b = append(b, low|0x80)
	}
}
