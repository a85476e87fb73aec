package embedded

import (
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"os"
	"path/filepath"
	"slices"
)

// A journal is a file of fixed size, written in full when it is made, so that adding a frame to it changes nothing but
// its content and takes one flush. A frame begins at a multiple of the sector size, so that a torn write harms no frame
// before it.
const (
	journalSize  = 1 << 20 // bytes
	sector       = 512
	frameHeader  = 20
	frameMagic   = 0x504c5459
	journalFiles = 2
)

// frame is one batch of records, numbered without gaps across both journals.
type frame struct {
	number  uint64
	records []record
}

// openJournals opens both journals of a directory, making them only where there is no store yet.
func openJournals(dir string, fresh bool) ([journalFiles]*os.File, error) {
	var files [journalFiles]*os.File
	for i := range files {
		path := filepath.Join(dir, fmt.Sprintf("journal.%d", i))
		if _, err := os.Stat(path); fresh && errors.Is(err, os.ErrNotExist) {
			if err := makeJournal(dir, path); err != nil {
				return files, err
			}
		}
		f, err := os.OpenFile(path, os.O_RDWR, 0)
		if err != nil {
			return files, err
		}
		files[i] = f
		if at, err := f.Stat(); err != nil || at.Size() != journalSize {
			return files, fmt.Errorf("%s is not %d bytes long", path, journalSize)
		}
	}
	return files, nil
}

func makeJournal(dir, path string) error {
	f, err := os.Create(path + ".new")
	if err != nil {
		return err
	}
	_, err = f.Write(make([]byte, journalSize))
	if err = errors.Join(err, f.Sync(), f.Close()); err != nil {
		return err
	}
	if err := os.Rename(path+".new", path); err != nil {
		return err
	}
	return syncDir(dir)
}

// encode makes the bytes of a frame, whole sectors of them.
func (f frame) encode(b []byte) []byte {
	b = append(b[:0], make([]byte, frameHeader)...)
	for _, r := range f.records {
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
	binary.LittleEndian.PutUint32(b, frameMagic)
	binary.LittleEndian.PutUint32(b[4:], uint32(len(b)-frameHeader))
	binary.LittleEndian.PutUint64(b[8:], f.number)
	binary.LittleEndian.PutUint32(b[16:], frameSum(b))
	return append(b, make([]byte, -len(b)&(sector-1))...)
}

// frameSum is the checksum over all of a frame but the checksum itself.
func frameSum(b []byte) uint32 {
	return crc32.Update(crc32.Checksum(b[:16], table), table, b[frameHeader:])
}

// scan finds all whole frames of a journal above a number. What is in between is of no account: free space, frames of
// earlier rounds, and at most one frame that was being written when the process ended.
func scan(f *os.File, above uint64) ([]frame, error) {
	all, err := io.ReadAll(io.NewSectionReader(f, 0, journalSize))
	if err != nil {
		return nil, err
	}
	var frames []frame
	for at := 0; at+frameHeader <= len(all); {
		b := all[at:]
		size := frameHeader + int(binary.LittleEndian.Uint32(b[4:]))
		if binary.LittleEndian.Uint32(b) != frameMagic || size > len(b) || frameSum(b[:size]) != binary.LittleEndian.Uint32(b[16:]) {
			at += sector
			continue
		}
		if number := binary.LittleEndian.Uint64(b[8:]); number > above {
			records, err := decodeRecords(b[frameHeader:size])
			if err != nil {
				return nil, fmt.Errorf("frame %d: %w", number, err)
			}
			frames = append(frames, frame{number, records})
		}
		at += (size + sector - 1) / sector * sector
	}
	return frames, nil
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

// pending finds what the journals hold beyond a number, in order. A frame that is missing before others that are there
// was acknowledged once, so that is damage.
func pending(files [journalFiles]*os.File, above uint64) ([]frame, error) {
	var frames []frame
	for _, f := range files {
		found, err := scan(f, above)
		if err != nil {
			return nil, err
		}
		frames = append(frames, found...)
	}
	slices.SortFunc(frames, func(a, b frame) int {
		if a.number < b.number {
			return -1
		}
		return 1
	})
	for i, f := range frames {
		if f.number != above+1+uint64(i) {
			return nil, fmt.Errorf("journal: frame %d is missing", above+1+uint64(i))
		}
	}
	return frames, nil
}
