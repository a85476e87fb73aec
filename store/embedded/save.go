package embedded

import (
	"encoding/binary"
	"errors"
	"fmt"
	"maps"
	"os"

	bolt "go.etcd.io/bbolt"
)

// save makes records durable, all or none. before tells what there was at a place before them, and is again once they
// are refused.
func (d *disk) save(records []record, before func(bucket, key string) []byte) error {
	err := d.append(records)
	if err == nil {
		return nil
	}
	// What failed may have reached the disk all the same. So the next write goes, with all there is, into the bbolt file,
	// past whatever this one left in a journal, and puts back what this one may have put there.
	d.direct = true
	d.frame++
	for _, r := range records {
		at := place{r.bucket, r.key}
		if _, known := d.fresh[at]; known {
			continue
		}
		if _, known := d.full[at]; !known {
			d.fresh[at] = before(r.bucket, r.key)
		}
	}
	return fmt.Errorf("write to disk: %w", err)
}

// maxBuffer is how large a buffer is kept for the next frame, in bytes.
const maxBuffer = 64 << 10

// append adds a frame to the active journal, turning to the other one when it is full.
func (d *disk) append(records []record) error {
	encoded := encodeFrame(d.buffer, records)
	if cap(encoded) <= maxBuffer {
		d.buffer = encoded
	}
	if d.direct || len(encoded) > frameSpace {
		return d.settle(records)
	}
	if d.journals[d.active].at+int64(len(encoded)) > journalSize {
		if err := d.turn(); err != nil {
			return err
		}
	}
	if err := d.journals[d.active].append(encoded, d.frame+1); err != nil {
		return err
	}
	d.frame++
	d.keep(records)
	return nil
}

func (d *disk) keep(records []record) {
	for _, r := range records {
		d.fresh[place{r.bucket, r.key}] = r.value
	}
}

// turn makes the other journal the active one and starts moving what the full one holds. The other one is free once
// the last move is done.
func (d *disk) turn() error {
	if err := d.moved(); err != nil {
		return err
	}
	moving := make(chan error, 1)
	upTo, full := d.frame, d.fresh
	d.moving, d.full, d.fresh = moving, full, map[place][]byte{}
	go func() { moving <- d.move(upTo, full) }()
	d.active = (d.active + 1) % journalFiles
	d.journals[d.active].rewind()
	return nil
}

// moved waits for the move under way, and tries it again if it failed.
func (d *disk) moved() error {
	if d.moving == nil {
		return nil
	}
	err := <-d.moving
	d.moving = nil
	if err != nil {
		return d.settle(nil)
	}
	d.full = nil
	return nil
}

func (d *disk) move(upTo uint64, records map[place][]byte) error {
	return guard(func() error {
		return d.update(func(tx *bolt.Tx) error { return d.fill(tx, upTo, records) })
	})
}

// update commits to the bbolt file. When a commit fails at its very end, bbolt goes on as if it had worked, and writes
// over what the commit before needs, while the disk may know of that one alone. So the heads go to the disk first then.
func (d *disk) update(do func(*bolt.Tx) error) error {
	if d.doubt {
		if err := d.flushHeads(); err != nil {
			return err
		}
	}
	d.doubt = true
	err := d.db.Update(do)
	d.doubt = err != nil
	return err
}

// flushHeads writes the two pages that say where everything is in a bbolt file once more, because a flush that failed
// leaves them in the cache alone, where no other flush looks for them.
func (d *disk) flushHeads() error {
	f, err := os.OpenFile(d.db.Path(), os.O_RDWR, 0)
	if err != nil {
		return err
	}
	heads := make([]byte, 2*d.db.Info().PageSize)
	if _, err = f.ReadAt(heads, 0); err == nil {
		_, err = f.WriteAt(heads, 0)
	}
	if err == nil {
		err = flush(f)
	}
	return errors.Join(err, f.Close())
}

// settle brings everything, and some new records with it, into the bbolt file, after which both journals are free.
// Until it has succeeded nothing is written anywhere else, because a commit that failed may be in the file or not.
func (d *disk) settle(records []record) error {
	if d.moving != nil {
		if err := <-d.moving; err == nil {
			d.full = nil
		}
		d.moving = nil
	}
	all := map[place][]byte{}
	maps.Copy(all, d.full)
	maps.Copy(all, d.fresh)
	d.direct = true
	for _, r := range records {
		all[place{r.bucket, r.key}] = r.value
	}
	if len(records) > 0 {
		d.frame++
	}
	if err := d.move(d.frame, all); err != nil {
		return err
	}
	d.full, d.fresh, d.direct = nil, map[place][]byte{}, false
	d.active = 0
	d.journals[d.active].rewind()
	return nil
}

// fill writes records into the bbolt file, and which frame they go up to.
func (d *disk) fill(tx *bolt.Tx, upTo uint64, records map[place][]byte) error {
	for at, value := range records {
		if err := writeOne(tx, record{at.bucket, at.key, value}); err != nil {
			return err
		}
	}
	return writeOne(tx, record{bucketMeta, metaFrame, binary.AppendUvarint(nil, upTo)})
}

func writeOne(tx *bolt.Tx, r record) error {
	if r.value == nil {
		return tx.Bucket([]byte(r.bucket)).Delete([]byte(r.key))
	}
	return tx.Bucket([]byte(r.bucket)).Put([]byte(r.key), seal(r.key, r.value))
}
