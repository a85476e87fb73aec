package embedded

import (
	"encoding/binary"
	"errors"
	"fmt"
	"maps"
	"os"

	bolt "go.etcd.io/bbolt"
)

// save makes records durable, all or none. previousValue returns the value of a record before this batch; if the save
// fails that value is restored.
func (d *disk) save(records []record, previousValue func(bucket, key string) []byte) error {
	err := d.append(records)
	if err == nil {
		return nil
	}
	// The failed write may have reached the disk. So the next write goes with everything else into the bbolt file,
	// which supersedes the journals, and restores the previous values.
	d.bypassJournal = true
	d.frameNumber++
	for _, r := range records {
		id := recordID{r.bucket, r.key}
		if _, known := d.activeRecords[id]; known {
			continue
		}
		if _, known := d.flushingRecords[id]; !known {
			d.activeRecords[id] = previousValue(r.bucket, r.key)
		}
	}
	return fmt.Errorf("write to disk: %w", err)
}

// maxBuffer is the largest buffer to keep for the next frame, in bytes.
const maxBuffer = 64 << 10

// append writes a frame to the active journal and rotates when that is full.
func (d *disk) append(records []record) error {
	encoded := encodeFrame(d.buffer, records)
	if cap(encoded) <= maxBuffer {
		d.buffer = encoded
	}
	if d.bypassJournal || len(encoded) > frameSpace {
		return d.checkpoint(records)
	}
	if d.journals[d.activeJournal].offset+int64(len(encoded)) > journalSize {
		if err := d.rotate(); err != nil {
			return err
		}
	}
	if err := d.journals[d.activeJournal].append(encoded, d.frameNumber+1); err != nil {
		return err
	}
	d.frameNumber++
	d.trackRecords(records)
	return nil
}

func (d *disk) trackRecords(records []record) {
	for _, r := range records {
		d.activeRecords[recordID{r.bucket, r.key}] = r.value
	}
}

// rotate makes the other journal active and starts to flush the records of the full one to the bbolt file. It waits for
// the previous flush, which frees the other journal.
func (d *disk) rotate() error {
	if err := d.waitFlush(); err != nil {
		return err
	}
	done := make(chan error, 1)
	upTo, records := d.frameNumber, d.activeRecords
	d.flushDone, d.flushingRecords, d.activeRecords = done, records, map[recordID][]byte{}
	go func() { done <- d.flushRecords(upTo, records) }()
	d.activeJournal = (d.activeJournal + 1) % journalFiles
	d.journals[d.activeJournal].reset()
	return nil
}

// waitFlush waits for the flush in progress and falls back to a checkpoint if it failed.
func (d *disk) waitFlush() error {
	if d.flushDone == nil {
		return nil
	}
	err := <-d.flushDone
	d.flushDone = nil
	if err != nil {
		return d.checkpoint(nil)
	}
	d.flushingRecords = nil
	return nil
}

func (d *disk) flushRecords(upTo uint64, records map[recordID][]byte) error {
	return catchPanic(func() error {
		return d.update(func(tx *bolt.Tx) error { return d.writeRecords(tx, upTo, records) })
	})
}

// update commits to the bbolt file. If a commit fails at its last step, bbolt continues as if it had succeeded and
// overwrites pages of the previous commit, which may be the only one on disk. So after a failure the meta pages are
// written again first.
func (d *disk) update(do func(*bolt.Tx) error) error {
	if d.metaUncertain {
		if err := d.rewriteMetaPages(); err != nil {
			return err
		}
	}
	d.metaUncertain = true
	err := d.db.Update(do)
	d.metaUncertain = err != nil
	return err
}

// rewriteMetaPages writes the two meta pages of the bbolt file again. After a failed flush they are only in the page
// cache, marked clean, and no later flush would write them.
func (d *disk) rewriteMetaPages() error {
	f, err := os.OpenFile(d.db.Path(), os.O_RDWR, 0)
	if err != nil {
		return err
	}
	metaPages := make([]byte, 2*d.db.Info().PageSize)
	if _, err = f.ReadAt(metaPages, 0); err == nil {
		_, err = f.WriteAt(metaPages, 0)
	}
	if err == nil {
		err = flush(f)
	}
	return errors.Join(err, f.Close())
}

// checkpoint writes everything, including the given new records, into the bbolt file, which frees both journals. Until
// it succeeds nothing may be written elsewhere, because a failed commit may or may not be in the file.
func (d *disk) checkpoint(records []record) error {
	if d.flushDone != nil {
		if err := <-d.flushDone; err == nil {
			d.flushingRecords = nil
		}
		d.flushDone = nil
	}
	all := map[recordID][]byte{}
	maps.Copy(all, d.flushingRecords)
	maps.Copy(all, d.activeRecords)
	d.bypassJournal = true
	for _, r := range records {
		all[recordID{r.bucket, r.key}] = r.value
	}
	if len(records) > 0 {
		d.frameNumber++
	}
	if err := d.flushRecords(d.frameNumber, all); err != nil {
		return err
	}
	d.flushingRecords, d.activeRecords, d.bypassJournal = nil, map[recordID][]byte{}, false
	d.activeJournal = 0
	d.journals[d.activeJournal].reset()
	return nil
}

// writeRecords writes records into the bbolt file, with the number of the last frame they include.
func (d *disk) writeRecords(tx *bolt.Tx, upTo uint64, records map[recordID][]byte) error {
	for id, value := range records {
		if err := writeRecord(tx, record{id.bucket, id.key, value}); err != nil {
			return err
		}
	}
	return writeRecord(tx, record{bucketMeta, metaFrame, binary.AppendUvarint(nil, upTo)})
}

func writeRecord(tx *bolt.Tx, r record) error {
	if r.value == nil {
		return tx.Bucket([]byte(r.bucket)).Delete([]byte(r.key))
	}
	return tx.Bucket([]byte(r.bucket)).Put([]byte(r.key), withChecksum(r.key, r.value))
}
