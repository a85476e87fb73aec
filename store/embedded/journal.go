package embedded

import (
	"bytes"
	"crypto/rand"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
)

// A journal is a file of fixed size that is written in full when it is created, so that appending a frame changes only
// content and takes one flush. Its first sector is the header, which never changes: magic, salt and a checksum. A file
// of zeros is therefore damage, not an empty journal. When a journal is full and its frames are in the data file, the
// next round overwrites them.
const (
	journalMagic      = "platypus journal 2\n"
	journalHeaderSize = sector
	frameSpace        = 1 << 20
	journalSize       = journalHeaderSize + frameSpace // bytes
	journalFiles      = 2
	saltSize          = 32
)

// journal is an open journal file and the position of its next frame. A journal of the first format has no salt.
type journal struct {
	file        *os.File
	salt        []byte
	offset      int64
	round       uint64
	previousSum sum
}

func journalPath(dir string, i int) string { return filepath.Join(dir, fmt.Sprintf("journal.%d", i)) }

// openJournals opens both journals of a directory. It creates them only for a new store.
func openJournals(dir string, isNew bool) (all [journalFiles]*journal, err error) {
	for i := range all {
		path := journalPath(dir, i)
		if _, err := os.Stat(path); isNew && errors.Is(err, os.ErrNotExist) {
			if err := createJournal(path); err != nil {
				return all, err
			}
		}
		if all[i], err = openJournal(path); err != nil {
			return all, err
		}
	}
	return all, nil
}

func openJournal(path string) (*journal, error) {
	f, err := os.OpenFile(path, os.O_RDWR, 0)
	if err != nil {
		return nil, err
	}
	j := &journal{file: f, offset: journalHeaderSize}
	if err := j.readHeader(); err != nil {
		return nil, errors.Join(err, f.Close())
	}
	return j, nil
}

// readHeader reads the salt. It also restricts the file mode, because journals of the first format were readable by
// everyone.
func (j *journal) readHeader() error {
	info, err := j.file.Stat()
	if err != nil {
		return err
	}
	if info.Mode()&0o077 != 0 {
		if err := j.file.Chmod(0o600); err != nil {
			return err
		}
	}
	if info.Size() == firstSize {
		return nil
	}
	if info.Size() != journalSize {
		return fmt.Errorf("%s is not %d bytes long", j.file.Name(), journalSize)
	}
	header := make([]byte, journalHeaderSize)
	if _, err := j.file.ReadAt(header, 0); err != nil {
		return err
	}
	salt := header[len(journalMagic) : len(journalMagic)+saltSize]
	if !bytes.Equal(header, encodeJournalHeader(salt)) {
		return fmt.Errorf("%s has no head", j.file.Name())
	}
	j.salt = salt
	return nil
}

func encodeJournalHeader(salt []byte) []byte {
	header := append([]byte(journalMagic), salt...)
	s := sha256.Sum256(header)
	return append(header, append(s[:], make([]byte, journalHeaderSize-len(header)-len(s))...)...)
}

// createJournal creates an empty journal, or replaces one atomically.
func createJournal(path string) error {
	f, err := os.OpenFile(path+".new", os.O_RDWR|os.O_CREATE|os.O_TRUNC, 0o600)
	if err != nil {
		return err
	}
	salt := make([]byte, saltSize)
	_, err = rand.Read(salt)
	if err == nil {
		_, err = f.Write(append(encodeJournalHeader(salt), make([]byte, frameSpace)...))
	}
	if err = errors.Join(err, f.Sync(), f.Close()); err != nil {
		return err
	}
	if err := os.Rename(path+".new", path); err != nil {
		return err
	}
	return syncDir(filepath.Dir(path))
}

// reset starts a new round. The frames of the previous one must be in the data file.
func (j *journal) reset() { j.offset, j.previousSum = journalHeaderSize, sum{} }

// append writes an encoded frame and returns when it is durable.
func (j *journal) append(encoded []byte, number uint64) error {
	if j.offset == journalHeaderSize {
		j.round = number
	}
	link := fillFrameHeader(encoded, j.salt, number, j.round, j.previousSum)
	_, err := j.file.WriteAt(encoded, j.offset)
	if err == nil {
		err = flush(j.file)
	}
	if err != nil {
		return err
	}
	j.offset += int64(len(encoded))
	j.previousSum = link
	return nil
}

// read returns the frames of the current round in order, and the numbers of other frames with this salt: those of
// earlier rounds, those after a damaged frame, and copies inside client values.
func (j *journal) read() (chained []storedFrame, orphans []uint64, err error) {
	if j.salt == nil {
		return j.decodeFirstFormat()
	}
	all, err := io.ReadAll(io.NewSectionReader(j.file, journalHeaderSize, frameSpace))
	if err != nil {
		return nil, nil, err
	}
	offset := 0
	for before := (*storedFrame)(nil); ; before = &chained[len(chained)-1] {
		s, ok := decodeFrame(all[offset:], j.salt)
		if !ok || !s.follows(before) {
			break
		}
		chained = append(chained, s)
		offset += s.size()
	}
	for ; offset < len(all); offset += sector {
		if s, ok := decodeFrame(all[offset:], j.salt); ok {
			orphans = append(orphans, s.number)
		}
	}
	return chained, orphans, nil
}

// unappliedFrames returns the frames with a number above applied, in order. A gap before later frames means damage,
// because the missing frame was acknowledged. Leftovers of an earlier round have numbers up to applied, and a copy
// inside a value has a number below that of its enclosing frame: only a frame after a damaged one has a number above
// the whole chain.
func unappliedFrames(journals [journalFiles]*journal, applied uint64) ([]frame, error) {
	var frames []frame
	var orphans []uint64
	for _, j := range journals {
		chained, more, err := j.read()
		if err != nil {
			return nil, err
		}
		orphans = append(orphans, more...)
		for _, s := range chained {
			if s.number <= applied {
				continue
			}
			f, err := s.decode()
			if err != nil {
				return nil, err
			}
			frames = append(frames, f)
		}
	}
	slices.SortFunc(frames, func(a, b frame) int {
		if a.number < b.number {
			return -1
		}
		return 1
	})
	last := applied
	for _, f := range frames {
		if f.number != last+1 {
			return nil, fmt.Errorf("journal: frame %d is missing", last+1)
		}
		last = f.number
	}
	for _, number := range orphans {
		if number > last {
			return nil, fmt.Errorf("journal: frame %d is missing", last+1)
		}
	}
	return frames, nil
}
