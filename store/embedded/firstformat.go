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

// Journals of the first format have no header and no salt: frames with a header of 20 bytes and a CRC-32C start at byte
// 0. They are read once, their frames go into the data file, and journals of the present format replace them.
const (
	firstSize   = 1 << 20
	firstHeader = 20
	firstMagic  = 0x504c5459
)

// decodeFirstFormat is read for the first format. A client value can imitate a frame with any number here. So frames
// belong to one round only while their numbers are consecutive, and count as left after a damaged one only if such a
// round can reach their number.
func (j *journal) decodeFirstFormat() (round []storedFrame, orphans []uint64, err error) {
	all, err := io.ReadAll(io.NewSectionReader(j.file, 0, firstSize))
	if err != nil {
		return nil, nil, err
	}
	offset := 0
	for offset < len(all) {
		s, size, ok := decodeFirstFrame(all[offset:])
		if !ok || len(round) > 0 && s.number != round[len(round)-1].number+1 {
			break
		}
		round = append(round, s)
		offset += size
	}
	for ; offset < len(all); offset += sector {
		s, _, ok := decodeFirstFrame(all[offset:])
		if ok && (len(round) == 0 || s.number < round[0].number+firstSize/sector) {
			orphans = append(orphans, s.number)
		}
	}
	return round, orphans, nil
}

// decodeFirstFrame returns the frame of the first format at the start of b, and its space in the journal.
func decodeFirstFrame(b []byte) (storedFrame, int, bool) {
	if len(b) < firstHeader || binary.LittleEndian.Uint32(b) != firstMagic {
		return storedFrame{}, 0, false
	}
	size := firstHeader + int(binary.LittleEndian.Uint32(b[4:]))
	if size > len(b) {
		return storedFrame{}, 0, false
	}
	crc := crc32.Update(crc32.Checksum(b[:16], crcTable), crcTable, b[firstHeader:size])
	if crc != binary.LittleEndian.Uint32(b[16:]) {
		return storedFrame{}, 0, false
	}
	s := storedFrame{number: binary.LittleEndian.Uint64(b[8:]), payload: b[firstHeader:size]}
	return s, (size + sector - 1) &^ (sector - 1), true
}

// metaJournals is the meta key for the salts of the journals that belong to a data file. Data files of the first format
// lack it.
const metaJournals = "journals"

// salts returns the salts of both journals, nil if one of them has the first format.
func (d *disk) salts() (both []byte) {
	for _, j := range d.journals {
		if j.salt == nil {
			return nil
		}
		both = append(both, j.salt...)
	}
	return both
}

// checkJournals checks that the data file was created with these journals.
func (d *disk) checkJournals(b *bolt.Bucket) error {
	raw := b.Get([]byte(metaJournals))
	if raw == nil {
		return nil
	}
	known, err := verifyChecksum([]byte(metaJournals), raw)
	if err != nil {
		return err
	}
	d.journalsBound = true
	if string(known) != string(d.salts()) {
		return errors.New("the journals belong to another " + dataFile)
	}
	return nil
}

// upgradeJournals replaces journals of the first format, whose frames are in the data file by then. A crash may leave
// one journal of each format; the next start reads both and upgrades again.
func (d *disk) upgradeJournals() error {
	dir := filepath.Dir(d.db.Path())
	for i, j := range d.journals {
		if j.salt != nil {
			continue
		}
		if err := createJournal(journalPath(dir, i)); err != nil {
			return fmt.Errorf("renew %s: %w", journalPath(dir, i), err)
		}
		upgraded, err := openJournal(journalPath(dir, i))
		if err != nil {
			return err
		}
		_ = j.file.Close()
		d.journals[i] = upgraded
	}
	err := d.update(func(tx *bolt.Tx) error { return writeRecord(tx, record{bucketMeta, metaJournals, d.salts()}) })
	if err != nil {
		return fmt.Errorf("renew journals: %w", err)
	}
	d.journalsBound = true
	return nil
}
