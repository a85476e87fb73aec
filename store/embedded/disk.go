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

// The buckets of the log, and the keys that say how far indexes and journals have come.
const (
	bucketKV       = "kv"
	bucketGraves   = "graves"
	bucketSessions = "sessions"
	bucketServices = "services"
	bucketChecks   = "checks"
	bucketNames    = "names"
	bucketMeta     = "meta"
	bucketDelays   = "delays"
	metaIndexes    = "indexes"
	metaFrame      = "frame"
)

var buckets = []string{bucketKV, bucketGraves, bucketSessions, bucketServices, bucketChecks, bucketNames, bucketMeta, bucketDelays}

// ErrInUse is wrapped by Open when another process has the data directory open.
var ErrInUse = errors.New("data directory in use")

// ErrCorrupt is wrapped by Open when the data files cannot be trusted. They are left as they are.
var ErrCorrupt = errors.New("data file damaged")

// disk is the durable half of a store. A batch is durable once it is a frame of the active journal, which takes one
// flush; when a journal is full, what it holds goes into the bbolt file while the other journal takes over. Only the
// goroutine that writes uses it.
type disk struct {
	db       *bolt.DB
	lock     *os.File
	journals [journalFiles]*journal
	bound    bool   // The data file names its journals.
	active   int    // which journal takes frames
	frame    uint64 // the number of the newest frame
	buffer   []byte
	backlog
}

// backlog is what the bbolt file does not have yet.
type backlog struct {
	fresh  map[place][]byte // in the active journal
	moving chan error       // answers once the full journal is in the bbolt file; nil when none is on its way
	full   map[place][]byte // what is on its way
	doubt  bool             // The bbolt file may be other than the disk has it.
	direct bool             // The journals cannot be trusted with more until the bbolt file has taken everything.
}

// place is where a record is kept.
type place struct{ bucket, key string }

const (
	dataFile = "store.db"
	lockFile = "lock"
)

func openDisk(dir string) (*disk, error) {
	if err := makeDir(filepath.Clean(dir)); err != nil {
		return nil, fmt.Errorf("create data directory: %w", err)
	}
	lock, err := takeLock(filepath.Join(dir, lockFile))
	if err != nil {
		return nil, fmt.Errorf("open %s: %w", dir, err)
	}
	d := &disk{lock: lock, backlog: backlog{fresh: map[place][]byte{}}}
	if err := guard(func() error { return d.open(dir) }); err != nil {
		err = errors.Join(explain(dir, err), d.close())
		return nil, err
	}
	return d, nil
}

// explain tells trouble with the disk from damage on it.
func explain(dir string, err error) error {
	for _, trouble := range []error{syscall.ENOSPC, syscall.EDQUOT, syscall.EROFS, syscall.EIO, syscall.EMFILE, syscall.ENFILE, os.ErrPermission} {
		if errors.Is(err, trouble) {
			return fmt.Errorf("open %s: %w", dir, err)
		}
	}
	return damaged(dir, err)
}

func damaged(dir string, why error) error {
	return fmt.Errorf("open %s: %w (%v): restore all files of the directory from one backup, or move it away to start empty",
		dir, ErrCorrupt, why)
}

// dataOptions are those of the data file: the list of free pages is rebuilt at start, which is quick, instead of being written at
// every commit.
var dataOptions = bolt.Options{Timeout: time.Second, NoFreelistSync: true, FreelistType: bolt.FreelistMapType}

func (d *disk) open(dir string) error {
	path := filepath.Join(dir, dataFile)
	_, err := os.Stat(path)
	fresh := errors.Is(err, os.ErrNotExist)
	// The journals come before the data file: a data file must find its journals.
	if d.journals, err = openJournals(dir, fresh); err != nil {
		return err
	}
	if fresh {
		if err := makeData(path, d.salts()); err != nil {
			return err
		}
	}
	if err := inspect(path); err != nil {
		return err
	}
	if d.db, err = bolt.Open(path, 0o600, &dataOptions); err != nil {
		return err
	}
	// The last process may have ended after a flush that failed.
	return errors.Join(d.flushHeads(), d.addDelays())
}

// addDelays adds the bucket that files of an earlier version lack.
func (d *disk) addDelays() error {
	there := false
	err := d.db.View(func(tx *bolt.Tx) error {
		there = tx.Bucket([]byte(bucketMeta)) == nil || tx.Bucket([]byte(bucketDelays)) != nil
		return nil
	})
	if there || err != nil {
		return err
	}
	return d.update(func(tx *bolt.Tx) error {
		_, err := tx.CreateBucket([]byte(bucketDelays))
		return err
	})
}

// makeData makes an empty data file under another name first, so that one that has the name is whole.
func makeData(path string, salts []byte) error {
	unborn := path + ".new"
	if err := os.Remove(unborn); err != nil && !errors.Is(err, os.ErrNotExist) {
		return err
	}
	db, err := bolt.Open(unborn, 0o600, &dataOptions)
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
		return writeOne(tx, record{bucketMeta, metaJournals, salts})
	})
	if err = errors.Join(err, db.Close()); err != nil {
		return err
	}
	if err := os.Rename(unborn, path); err != nil {
		return err
	}
	return syncDir(filepath.Dir(path))
}

// load reads everything into a view. What the journals have beyond the bbolt file goes there first; if the disk does
// not take it now, it will have to before the next write.
func (d *disk) load() (*view, error) {
	v := emptyView()
	damage := guard(func() error {
		err := d.db.View(func(tx *bolt.Tx) error { return d.readMeta(tx.Bucket([]byte(bucketMeta))) })
		if err != nil {
			return err
		}
		frames, err := pending(d.journals, d.frame)
		if err != nil {
			return err
		}
		for _, f := range frames {
			d.keep(f.records)
			d.frame = f.number
		}
		if len(frames) == 0 {
			return d.db.View(v.read)
		}
		return d.catchUp(v)
	})
	if damage != nil {
		clear(d.fresh) // so that closing leaves the files as they are
		return nil, damaged(filepath.Dir(d.db.Path()), damage)
	}
	if d.bound {
		return v, nil
	}
	if d.direct { // The disk did not take what the journals hold.
		if err := d.settle(nil); err != nil {
			return nil, fmt.Errorf("renew journals of %s: %w", filepath.Dir(d.db.Path()), err)
		}
	}
	return v, d.renewJournals()
}

// catchUp reads a view out of the transaction that takes in the journals.
func (d *disk) catchUp(v *view) error {
	var damage error
	refused := d.update(func(tx *bolt.Tx) error {
		if err := d.fill(tx, d.frame, d.fresh); err != nil {
			return err
		}
		damage = v.read(tx)
		return damage
	})
	if damage != nil {
		return damage
	}
	if refused != nil {
		d.direct = true
		return nil
	}
	clear(d.fresh)
	return nil
}

// readMeta reads which frame the data file goes up to.
func (d *disk) readMeta(b *bolt.Bucket) error {
	if b == nil {
		return errors.New("bucket meta is missing")
	}
	if err := d.checkJournals(b); err != nil {
		return err
	}
	sealed := b.Get([]byte(metaFrame))
	if sealed == nil {
		return nil
	}
	value, err := unseal([]byte(metaFrame), sealed)
	if err != nil {
		return err
	}
	d.frame, _ = binary.Uvarint(value)
	return nil
}

// close moves what the journals hold into the bbolt file and lets go of everything.
func (d *disk) close() error {
	var errs []error
	if d.db != nil {
		if len(d.fresh)+len(d.full) > 0 || d.moving != nil {
			// What does not fit now is still in the journals.
			_ = d.settle(nil)
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
