package embedded

import (
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"path/filepath"

	bolt "go.etcd.io/bbolt"
)

// Journals of the first format have neither head nor salt: frames of 20 bytes of header, with a CRC-32C, begin at byte
// 0. They are read once; then their frames are in the data file, and journals of today's format take their place.
const (
	firstSize   = 1 << 20
	firstHeader = 20
	firstMagic  = 0x504c5459
)

// readFirst is read for the first format. A value may hold the image of a frame there, with any number. So frames count
// as one round only while their numbers follow each other, and as left behind a damaged one only with a number that
// such a round can reach.
func (j *journal) readFirst() (round []stored, others []uint64, err error) {
	all, err := io.ReadAll(io.NewSectionReader(j.file, 0, firstSize))
	if err != nil {
		return nil, nil, err
	}
	at := 0
	for at < len(all) {
		s, size, ok := decodeFirst(all[at:])
		if !ok || len(round) > 0 && s.number != round[len(round)-1].number+1 {
			break
		}
		round = append(round, s)
		at += size
	}
	for ; at < len(all); at += sector {
		s, _, ok := decodeFirst(all[at:])
		if ok && (len(round) == 0 || s.number < round[0].number+firstSize/sector) {
			others = append(others, s.number)
		}
	}
	return round, others, nil
}

// decodeFirst returns the frame of the first format at the head of b, and how much of the journal it takes.
func decodeFirst(b []byte) (stored, int, bool) {
	if len(b) < firstHeader || binary.LittleEndian.Uint32(b) != firstMagic {
		return stored{}, 0, false
	}
	size := firstHeader + int(binary.LittleEndian.Uint32(b[4:]))
	if size > len(b) {
		return stored{}, 0, false
	}
	crc := crc32.Update(crc32.Checksum(b[:16], table), table, b[firstHeader:size])
	if crc != binary.LittleEndian.Uint32(b[16:]) {
		return stored{}, 0, false
	}
	s := stored{number: binary.LittleEndian.Uint64(b[8:]), payload: b[firstHeader:size]}
	return s, (size + sector - 1) &^ (sector - 1), true
}

// metaJournals is the record of the salts of the journals that belong to a data file. Data files of the first format
// have none.
const metaJournals = "journals"

// salts are those of both journals, nil while one of them is of the first format.
func (d *disk) salts() (both []byte) {
	for _, j := range d.journals {
		if j.salt == nil {
			return nil
		}
		both = append(both, j.salt...)
	}
	return both
}

// checkJournals makes sure that the journals are those that the data file was made with.
func (d *disk) checkJournals(b *bolt.Bucket) error {
	sealed := b.Get([]byte(metaJournals))
	if sealed == nil {
		return nil
	}
	known, err := unseal([]byte(metaJournals), sealed)
	if err != nil {
		return err
	}
	d.bound = true
	if string(known) != string(d.salts()) {
		return errors.New("the journals belong to another " + dataFile)
	}
	return nil
}

// renewJournals replaces journals of the first format, whose frames are in the data file by now. A crash on the way
// leaves some journals of either format, which the next start reads and renews again.
func (d *disk) renewJournals() error {
	dir := filepath.Dir(d.db.Path())
	for i, j := range d.journals {
		if j.salt != nil {
			continue
		}
		if err := makeJournal(journalPath(dir, i)); err != nil {
			return fmt.Errorf("renew %s: %w", journalPath(dir, i), err)
		}
		renewed, err := openJournal(journalPath(dir, i))
		if err != nil {
			return err
		}
		_ = j.file.Close()
		d.journals[i] = renewed
	}
	err := d.update(func(tx *bolt.Tx) error { return writeOne(tx, record{bucketMeta, metaJournals, d.salts()}) })
	if err != nil {
		return fmt.Errorf("renew journals: %w", err)
	}
	d.bound = true
	return nil
}
