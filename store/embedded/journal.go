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

// A journal is a file of fixed size, written in full when it is made, so that adding a frame to it changes nothing but
// its content and takes one flush. Its first sector is the head, which never changes: magic, salt and a checksum. A
// file of zeros is therefore damage, not an empty journal. When a journal is full and its frames are in the data file,
// the next round begins over them.
const (
	headMagic    = "platypus journal 2\n"
	headSize     = sector
	frameSpace   = 1 << 20
	journalSize  = headSize + frameSpace // bytes
	journalFiles = 2
	saltSize     = 32
)

// journal is one open journal, and where its next frame goes. A journal of the first format has no salt.
type journal struct {
	file  *os.File
	salt  []byte
	at    int64
	round uint64
	link  sum
}

func journalPath(dir string, i int) string { return filepath.Join(dir, fmt.Sprintf("journal.%d", i)) }

// openJournals opens both journals of a directory, making them only where there is no store yet.
func openJournals(dir string, fresh bool) (all [journalFiles]*journal, err error) {
	for i := range all {
		path := journalPath(dir, i)
		if _, err := os.Stat(path); fresh && errors.Is(err, os.ErrNotExist) {
			if err := makeJournal(path); err != nil {
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
	j := &journal{file: f, at: headSize}
	if err := j.readHead(); err != nil {
		return nil, errors.Join(err, f.Close())
	}
	return j, nil
}

// readHead reads the salt, and makes sure that nobody else can: journals of the first format were open to all.
func (j *journal) readHead() error {
	at, err := j.file.Stat()
	if err != nil {
		return err
	}
	if at.Mode()&0o077 != 0 {
		if err := j.file.Chmod(0o600); err != nil {
			return err
		}
	}
	if at.Size() == firstSize {
		return nil
	}
	if at.Size() != journalSize {
		return fmt.Errorf("%s is not %d bytes long", j.file.Name(), journalSize)
	}
	head := make([]byte, headSize)
	if _, err := j.file.ReadAt(head, 0); err != nil {
		return err
	}
	salt := head[len(headMagic) : len(headMagic)+saltSize]
	if !bytes.Equal(head, makeHead(salt)) {
		return fmt.Errorf("%s has no head", j.file.Name())
	}
	j.salt = salt
	return nil
}

func makeHead(salt []byte) []byte {
	head := append([]byte(headMagic), salt...)
	s := sha256.Sum256(head)
	return append(head, append(s[:], make([]byte, headSize-len(head)-len(s))...)...)
}

// makeJournal makes an empty journal, or replaces one, in one step.
func makeJournal(path string) error {
	f, err := os.OpenFile(path+".new", os.O_RDWR|os.O_CREATE|os.O_TRUNC, 0o600)
	if err != nil {
		return err
	}
	salt := make([]byte, saltSize)
	_, err = rand.Read(salt)
	if err == nil {
		_, err = f.Write(append(makeHead(salt), make([]byte, frameSpace)...))
	}
	if err = errors.Join(err, f.Sync(), f.Close()); err != nil {
		return err
	}
	if err := os.Rename(path+".new", path); err != nil {
		return err
	}
	return syncDir(filepath.Dir(path))
}

// rewind has the next frame begin a round. What the journal holds must be in the data file.
func (j *journal) rewind() { j.at, j.link = headSize, sum{} }

// append writes an encoded frame and returns when it is on the disk.
func (j *journal) append(encoded []byte, number uint64) error {
	if j.at == headSize {
		j.round = number
	}
	link := sealFrame(encoded, j.salt, number, j.round, j.link)
	_, err := j.file.WriteAt(encoded, j.at)
	if err == nil {
		err = flush(j.file)
	}
	if err != nil {
		return err
	}
	j.at += int64(len(encoded))
	j.link = link
	return nil
}

// read returns the frames of the round in use, in order, and the numbers of frames of this salt that stand elsewhere:
// those of earlier rounds, those behind a frame that is damaged, and copies that a client put into a value.
func (j *journal) read() (chained []stored, others []uint64, err error) {
	if j.salt == nil {
		return j.readFirst()
	}
	all, err := io.ReadAll(io.NewSectionReader(j.file, headSize, frameSpace))
	if err != nil {
		return nil, nil, err
	}
	at := 0
	for before := (*stored)(nil); ; before = &chained[len(chained)-1] {
		s, ok := decodeFrame(all[at:], j.salt)
		if !ok || !s.follows(before) {
			break
		}
		chained = append(chained, s)
		at += s.size()
	}
	for ; at < len(all); at += sector {
		if s, ok := decodeFrame(all[at:], j.salt); ok {
			others = append(others, s.number)
		}
	}
	return chained, others, nil
}

// pending finds what the journals hold beyond a number, in order. A frame that is missing before others that are there
// was acknowledged once, so that is damage. What an earlier round left has a number up to above, and a copy in a value
// has one below that of the frame around it: only a frame behind a damaged one has a number beyond all that chain.
func pending(journals [journalFiles]*journal, above uint64) ([]frame, error) {
	var frames []frame
	var others []uint64
	for _, j := range journals {
		chained, more, err := j.read()
		if err != nil {
			return nil, err
		}
		others = append(others, more...)
		for _, s := range chained {
			if s.number <= above {
				continue
			}
			f, err := s.open()
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
	last := above
	for _, f := range frames {
		if f.number != last+1 {
			return nil, fmt.Errorf("journal: frame %d is missing", last+1)
		}
		last = f.number
	}
	for _, number := range others {
		if number > last {
			return nil, fmt.Errorf("journal: frame %d is missing", last+1)
		}
	}
	return frames, nil
}
