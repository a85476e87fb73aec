package embedded

import (
	"crypto/sha256"
	"encoding/binary"
	"fmt"
	"slices"
)

// A frame begins at a multiple of the sector size, so that a torn write damages no earlier frame. Its header, in
// little-endian order: magic (4 bytes), payload length (4), number (8), round (8), checksum of the previous frame (16),
// checksum (16).
//
// The payload contains client values, which may imitate a frame. So the checksum covers the salt of the file, which
// clients never see, and each frame contains the checksum of the previous one, zero for the first frame of a round. The
// round is the number of its first frame.
const (
	sector      = 512
	sumSize     = 16
	frameHeader = 24 + 2*sumSize
	frameMagic  = 0x524a4c50
)

type sum [sumSize]byte

// frame is one batch of records. Numbers have no gaps across both journals.
type frame struct {
	number  uint64
	records []record
}

// storedFrame is a frame as read from a journal, not yet decoded.
type storedFrame struct {
	number, round    uint64
	previousSum, sum sum
	payload          []byte
}

// size is the space of the frame in the journal, in bytes.
func (s storedFrame) size() int { return frameHeader + len(s.payload) + padding(len(s.payload)) }

func padding(payload int) int { return -(frameHeader + payload) & (sector - 1) }

// follows reports whether s is the next frame after before in one round; before is nil for the first frame.
func (s storedFrame) follows(before *storedFrame) bool {
	if before == nil {
		return s.round == s.number && s.previousSum == sum{}
	}
	return s.round == before.round && s.number == before.number+1 && s.previousSum == before.sum
}

// appendRecords encodes the payload of a frame.
func appendRecords(b []byte, records []record) []byte {
	for _, r := range records {
		b = append(b, byte(slices.Index(buckets, r.bucket)))
		b = binary.AppendUvarint(b, uint64(len(r.key)))
		b = append(b, r.key...)
		if r.value == nil {
			b = binary.AppendUvarint(b, 0)
			continue
		}
		b = binary.AppendUvarint(b, uint64(len(r.value))+1)
		b = append(b, r.value...)
	}
	return b
}

// encodeFrame encodes a frame, padded to whole sectors, with a header that fillFrameHeader completes.
func encodeFrame(b []byte, records []record) []byte {
	b = appendRecords(append(b[:0], make([]byte, frameHeader)...), records)
	binary.LittleEndian.PutUint32(b, frameMagic)
	binary.LittleEndian.PutUint32(b[4:], uint32(len(b)-frameHeader))
	return append(b, make([]byte, padding(len(b)-frameHeader))...)
}

// fillFrameHeader completes the header of an encoded frame and returns its checksum.
func fillFrameHeader(b, salt []byte, number, round uint64, link sum) sum {
	binary.LittleEndian.PutUint64(b[8:], number)
	binary.LittleEndian.PutUint64(b[16:], round)
	copy(b[24:], link[:])
	s := frameSum(b[:frameHeader+int(binary.LittleEndian.Uint32(b[4:]))], salt)
	copy(b[24+sumSize:], s[:])
	return s
}

// frameSum is the checksum of a frame without its padding.
func frameSum(b, salt []byte) (s sum) {
	h := sha256.New()
	h.Write(salt)
	h.Write(b[:24+sumSize])
	h.Write(b[frameHeader:])
	copy(s[:], h.Sum(nil))
	return s
}

// decodeFrame returns the frame at the start of b if it is complete and has this salt.
func decodeFrame(b, salt []byte) (storedFrame, bool) {
	if len(b) < frameHeader || binary.LittleEndian.Uint32(b) != frameMagic {
		return storedFrame{}, false
	}
	length := int(binary.LittleEndian.Uint32(b[4:]))
	if length > len(b)-frameHeader {
		return storedFrame{}, false
	}
	s := storedFrame{number: binary.LittleEndian.Uint64(b[8:]), round: binary.LittleEndian.Uint64(b[16:])}
	s.payload = b[frameHeader : frameHeader+length]
	copy(s.previousSum[:], b[24:])
	copy(s.sum[:], b[24+sumSize:])
	return s, s.sum == frameSum(b[:frameHeader+length], salt)
}

func decodeRecords(b []byte) ([]record, error) {
	var records []record
	for len(b) > 0 {
		if int(b[0]) >= len(buckets) {
			return nil, errTruncated
		}
		r := record{bucket: buckets[b[0]]}
		key, rest, err := readBytes(b[1:], 0)
		if err != nil {
			return nil, err
		}
		value, rest, err := readBytes(rest, 1)
		if err != nil {
			return nil, err
		}
		r.key, r.value, b = string(key), value, rest
		records = append(records, r)
	}
	return records, nil
}

// readBytes reads a length and that many bytes. The stored length is bias too high, where 0 means nil.
func readBytes(b []byte, bias uint64) (data, rest []byte, err error) {
	n, size := binary.Uvarint(b)
	if size <= 0 || n > uint64(len(b)-size)+bias {
		return nil, nil, errTruncated
	}
	b = b[size:]
	if n < bias {
		return nil, b, nil
	}
	n -= bias
	return b[:n:n], b[n:], nil
}

func (s storedFrame) decode() (frame, error) {
	records, err := decodeRecords(s.payload)
	if err != nil {
		return frame{}, fmt.Errorf("frame %d: %w", s.number, err)
	}
	return frame{s.number, records}, nil
}
