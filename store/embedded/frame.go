package embedded

import (
	"crypto/sha256"
	"encoding/binary"
	"fmt"
	"slices"
)

// A frame begins at a multiple of the sector size, so that a torn write harms no frame before it. Its header is, in
// little-endian order: magic (4 bytes), length of the payload (4), number (8), round (8), link (16), sum (16).
//
// Values of clients lie in the payload, so bytes alone do not make a frame. The sum covers the salt of the file, which
// clients never see; the link is the sum of the frame before, zero for the first frame of a round; the round is the
// number of its first frame.
const (
	sector      = 512
	sumSize     = 16
	frameHeader = 24 + 2*sumSize
	frameMagic  = 0x524a4c50
)

type sum [sumSize]byte

// frame is one batch of records, numbered without gaps across both journals.
type frame struct {
	number  uint64
	records []record
}

// stored is a frame as a journal holds it.
type stored struct {
	number, round uint64
	link, sum     sum
	payload       []byte
}

// size is how much of a journal the frame takes, in bytes.
func (s stored) size() int { return frameHeader + len(s.payload) + padding(len(s.payload)) }

func padding(payload int) int { return -(frameHeader + payload) & (sector - 1) }

// follows reports whether s stands behind before in one round; before is nil for the first frame.
func (s stored) follows(before *stored) bool {
	if before == nil {
		return s.round == s.number && s.link == sum{}
	}
	return s.round == before.round && s.number == before.number+1 && s.link == before.sum
}

// appendRecords makes the payload of a frame.
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

// encodeFrame makes the bytes of a frame, whole sectors of them, with a header that only seal fills.
func encodeFrame(b []byte, records []record) []byte {
	b = appendRecords(append(b[:0], make([]byte, frameHeader)...), records)
	binary.LittleEndian.PutUint32(b, frameMagic)
	binary.LittleEndian.PutUint32(b[4:], uint32(len(b)-frameHeader))
	return append(b, make([]byte, padding(len(b)-frameHeader))...)
}

// sealFrame fills the header of an encoded frame.
func sealFrame(b, salt []byte, number, round uint64, link sum) sum {
	binary.LittleEndian.PutUint64(b[8:], number)
	binary.LittleEndian.PutUint64(b[16:], round)
	copy(b[24:], link[:])
	s := frameSum(b[:frameHeader+int(binary.LittleEndian.Uint32(b[4:]))], salt)
	copy(b[24+sumSize:], s[:])
	return s
}

// frameSum is the sum over a frame without padding.
func frameSum(b, salt []byte) (s sum) {
	h := sha256.New()
	h.Write(salt)
	h.Write(b[:24+sumSize])
	h.Write(b[frameHeader:])
	copy(s[:], h.Sum(nil))
	return s
}

// decodeFrame returns the frame at the head of b, if there is a whole one of this salt.
func decodeFrame(b, salt []byte) (stored, bool) {
	if len(b) < frameHeader || binary.LittleEndian.Uint32(b) != frameMagic {
		return stored{}, false
	}
	length := int(binary.LittleEndian.Uint32(b[4:]))
	if length > len(b)-frameHeader {
		return stored{}, false
	}
	s := stored{number: binary.LittleEndian.Uint64(b[8:]), round: binary.LittleEndian.Uint64(b[16:])}
	s.payload = b[frameHeader : frameHeader+length]
	copy(s.link[:], b[24:])
	copy(s.sum[:], b[24+sumSize:])
	return s, s.sum == frameSum(b[:frameHeader+length], salt)
}

func decodeRecords(b []byte) ([]record, error) {
	var records []record
	for len(b) > 0 {
		if int(b[0]) >= len(buckets) {
			return nil, errShort
		}
		r := record{bucket: buckets[b[0]]}
		key, rest, err := cut(b[1:], 0)
		if err != nil {
			return nil, err
		}
		value, rest, err := cut(rest, 1)
		if err != nil {
			return nil, err
		}
		r.key, r.value, b = string(key), value, rest
		records = append(records, r)
	}
	return records, nil
}

// cut takes bytes with their length, which is kept more by one where 0 stands for nothing at all.
func cut(b []byte, more uint64) (taken, rest []byte, err error) {
	n, size := binary.Uvarint(b)
	if size <= 0 || n > uint64(len(b)-size)+more {
		return nil, nil, errShort
	}
	b = b[size:]
	if n < more {
		return nil, b, nil
	}
	n -= more
	return b[:n:n], b[n:], nil
}

// open decodes the payload.
func (s stored) open() (frame, error) {
	records, err := decodeRecords(s.payload)
	if err != nil {
		return frame{}, fmt.Errorf("frame %d: %w", s.number, err)
	}
	return frame{s.number, records}, nil
}
