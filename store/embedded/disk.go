package embedded

import (
	"encoding/binary"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"syscall"
	"time"

	bolt "go.etcd.io/bbolt"
)

// The bbolt buckets, and the meta keys for the indexes and the last frame. The names are part of the file format.
const (
	bucketKV           = "kv"
	bucketTombstones   = "graves"
	bucketSessions     = "sessions"
	bucketServices     = "services"
	bucketChecks       = "checks"
	bucketServiceNames = "names"
	bucketMeta         = "meta"
	bucketDelays       = "delays"
	metaIndexes        = "indexes"
	metaFrame          = "frame"
)

var buckets = []string{bucketKV, bucketTombstones, bucketSessions, bucketServices, bucketChecks, bucketServiceNames, bucketMeta, bucketDelays}

// ErrInUse is wrapped by Open when another process has the data directory open.
var ErrInUse = errors.New("data directory in use")

// ErrCorrupt is wrapped by Open when a data file is damaged. The files are left unchanged.
var ErrCorrupt = errors.New("data file damaged")

// disk is the durable half of a store. A batch is durable once it is a frame of the active journal, which takes one
// flush. When a journal is full, its records are flushed to the bbolt file while the other journal takes over. Only the
// commit loop uses it.
type disk struct {
	db            *bolt.DB
	lock          *os.File
	journals      [journalFiles]*journal
	journalsBound bool // the data file records the salts of its journals
	activeJournal int
	frameNumber   uint64 // of the newest frame
	buffer        []byte

	// Records that the bbolt file does not hold yet.
	activeRecords   map[recordID][]byte
	flushDone       chan error          // receives the result of the flush in progress; nil without one
	flushingRecords map[recordID][]byte // of the flush in progress
	metaUncertain   bool                // a failed sync left bbolt's meta pages uncertain
	bypassJournal   bool                // write to the bbolt file only, until a checkpoint succeeds
}

type recordID struct{ bucket, key string }

const (
	dataFile = "store.db"
	lockFile = "lock"
)

func openDisk(dir string) (*disk, error) {
	if err := createDir(filepath.Clean(dir)); err != nil {
		return nil, fmt.Errorf("create data directory: %w", err)
	}
	lock, err := acquireLockFile(filepath.Join(dir, lockFile))
	if err != nil {
		return nil, fmt.Errorf("open %s: %w", dir, err)
	}
	d := &disk{lock: lock, activeRecords: map[recordID][]byte{}}
	if err := catchPanic(func() error { return d.open(dir) }); err != nil {
		err = errors.Join(classifyOpenError(dir, err), d.close())
		return nil, err
	}
	return d, nil
}

// classifyOpenError separates I/O errors from damage: only damage wraps ErrCorrupt.
func classifyOpenError(dir string, err error) error {
	for _, diskError := range []error{syscall.ENOSPC, syscall.EDQUOT, syscall.EROFS, syscall.EIO, syscall.EMFILE, syscall.ENFILE, os.ErrPermission} {
		if errors.Is(err, diskError) {
			return fmt.Errorf("open %s: %w", dir, err)
		}
	}
	return corruptError(dir, err)
}

func corruptError(dir string, cause error) error {
	return fmt.Errorf("open %s: %w (%v): restore all files of the directory from one backup, or move it away to start empty",
		dir, ErrCorrupt, cause)
}

// dataOptions skips writing the free-page list at every commit. It is rebuilt at start, which is quick.
var dataOptions = bolt.Options{Timeout: time.Second, NoFreelistSync: true, FreelistType: bolt.FreelistMapType}

func (d *disk) open(dir string) error {
	path := filepath.Join(dir, dataFile)
	_, err := os.Stat(path)
	isNew := errors.Is(err, os.ErrNotExist)
	// Create the journals first: a data file must always find its journals.
	if d.journals, err = openJournals(dir, isNew); err != nil {
		return err
	}
	if isNew {
		if err := createDataFile(path, d.salts()); err != nil {
			return err
		}
	}
	if err := verifyDataFile(path); err != nil {
		return err
	}
	if d.db, err = bolt.Open(path, 0o600, &dataOptions); err != nil {
		return err
	}
	// The previous process may have ended after a failed flush.
	return errors.Join(d.rewriteMetaPages(), d.addDelayBucket())
}

// addDelayBucket adds the bucket that files of an earlier version lack.
func (d *disk) addDelayBucket() error {
	exists := false
	err := d.db.View(func(tx *bolt.Tx) error {
		exists = tx.Bucket([]byte(bucketMeta)) == nil || tx.Bucket([]byte(bucketDelays)) != nil
		return nil
	})
	if exists || err != nil {
		return err
	}
	return d.update(func(tx *bolt.Tx) error {
		_, err := tx.CreateBucket([]byte(bucketDelays))
		return err
	})
}

// createDataFile creates an empty data file under a temporary name and renames it, so that the file is always complete.
func createDataFile(path string, salts []byte) error {
	temp := path + ".new"
	if err := os.Remove(temp); err != nil && !errors.Is(err, os.ErrNotExist) {
		return err
	}
	db, err := bolt.Open(temp, 0o600, &dataOptions)
	if err != nil {
		return err
	}
	err = db.Update(func(tx *bolt.Tx) error {
		for _, name := range buckets {
			if _, err := tx.CreateBucket([]byte(name)); err != nil {
				return err
			}
		}
		if salts == nil {
			return nil
		}
		return writeRecord(tx, record{bucketMeta, metaJournals, salts})
	})
	if err = errors.Join(err, db.Close()); err != nil {
		return err
	}
	if err := os.Rename(temp, path); err != nil {
		return err
	}
	return syncDir(filepath.Dir(path))
}

// load reads everything into a snapshot. Journal frames that the bbolt file lacks are written to it first; if the disk
// rejects that, the next write must do it.
func (d *disk) load() (*snapshot, error) {
	snap := emptySnapshot()
	readErr := catchPanic(func() error {
		err := d.db.View(func(tx *bolt.Tx) error { return d.readMeta(tx.Bucket([]byte(bucketMeta))) })
		if err != nil {
			return err
		}
		frames, err := unappliedFrames(d.journals, d.frameNumber)
		if err != nil {
			return err
		}
		for _, f := range frames {
			d.trackRecords(f.records)
			d.frameNumber = f.number
		}
		if len(frames) == 0 {
			return d.db.View(snap.load)
		}
		return d.replayJournals(snap)
	})
	if readErr != nil {
		clear(d.activeRecords) // so that close leaves the files unchanged
		return nil, corruptError(filepath.Dir(d.db.Path()), readErr)
	}
	if d.journalsBound {
		return snap, nil
	}
	if d.bypassJournal { // writing the journals' records failed
		if err := d.checkpoint(nil); err != nil {
			return nil, fmt.Errorf("renew journals of %s: %w", filepath.Dir(d.db.Path()), err)
		}
	}
	return snap, d.upgradeJournals()
}

// replayJournals writes the journals' records to the bbolt file and loads the snapshot in the same transaction.
func (d *disk) replayJournals(snap *snapshot) error {
	var readErr error
	updateErr := d.update(func(tx *bolt.Tx) error {
		if err := d.writeRecords(tx, d.frameNumber, d.activeRecords); err != nil {
			return err
		}
		readErr = snap.load(tx)
		return readErr
	})
	if readErr != nil {
		return readErr
	}
	if updateErr != nil {
		d.bypassJournal = true
		return nil
	}
	clear(d.activeRecords)
	return nil
}

// readMeta reads the number of the last frame in the data file.
func (d *disk) readMeta(b *bolt.Bucket) error {
	if b == nil {
		return errors.New("bucket meta is missing")
	}
	if err := d.checkJournals(b); err != nil {
		return err
	}
	raw := b.Get([]byte(metaFrame))
	if raw == nil {
		return nil
	}
	value, err := verifyChecksum([]byte(metaFrame), raw)
	if err != nil {
		return err
	}
	d.frameNumber, _ = binary.Uvarint(value)
	return nil
}

// close flushes the journals to the bbolt file and releases all files.
func (d *disk) close() error {
	var errs []error
	if d.db != nil {
		if len(d.activeRecords)+len(d.flushingRecords) > 0 || d.flushDone != nil {
			// If this fails, the records are still in the journals.
			_ = d.checkpoint(nil)
		}
		errs = append(errs, d.db.Close())
	}
	for _, j := range d.journals {
		if j != nil {
			errs = append(errs, j.file.Close())
		}
	}
	return errors.Join(append(errs, d.lock.Close())...)
}
