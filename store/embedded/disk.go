package embedded

import (
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"os"
	"path/filepath"
	"runtime/debug"
	"strconv"
	"strings"
	"syscall"
	"time"

	bolt "go.etcd.io/bbolt"
)

// The buckets of the log, and the one key that says how far the index has come.
const (
	bucketKV       = "kv"
	bucketGraves   = "graves"
	bucketSessions = "sessions"
	bucketServices = "services"
	bucketChecks   = "checks"
	bucketNames    = "names"
	bucketMeta     = "meta"
	metaIndexes    = "indexes"
)

var buckets = []string{bucketKV, bucketGraves, bucketSessions, bucketServices, bucketChecks, bucketNames, bucketMeta}

// ErrInUse is wrapped by Open when another process has the data directory open.
var ErrInUse = errors.New("data directory in use")

// ErrCorrupt is wrapped by Open when the data file cannot be trusted. The file is left as it is.
var ErrCorrupt = errors.New("data file damaged")

// disk is the durable half of a store: a bbolt file whose values carry checksums, behind a lock file that names the
// process that holds it.
type disk struct {
	db   *bolt.DB
	lock *os.File
	heal map[[2]string][]byte // what the file must be made to say again after a flush that failed half-way
}

const (
	dataFile = "store.db"
	lockFile = "lock"
)

func openDisk(dir string) (*disk, error) {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, fmt.Errorf("create data directory: %w", err)
	}
	lock, err := takeLock(filepath.Join(dir, lockFile))
	if err != nil {
		return nil, fmt.Errorf("open %s: %w", dir, err)
	}
	d := &disk{lock: lock, heal: map[[2]string][]byte{}}
	path := filepath.Join(dir, dataFile)
	if err := guard(func() error { return d.open(path) }); err != nil {
		lock.Close()
		if errors.Is(err, syscall.ENOSPC) || errors.Is(err, os.ErrPermission) || errors.Is(err, syscall.EROFS) {
			return nil, fmt.Errorf("open %s: %w", path, err)
		}
		return nil, damaged(path, err)
	}
	return d, nil
}

func damaged(path string, why error) error {
	return fmt.Errorf("open %s: %w (%v): restore the file from a backup, or move it away to start empty", path, ErrCorrupt, why)
}

func (d *disk) open(path string) error {
	// The list of free pages is rebuilt at start, which is quick, instead of being written at every commit.
	db, err := bolt.Open(path, 0o600, &bolt.Options{Timeout: time.Second, NoFreelistSync: true, FreelistType: bolt.FreelistMapType})
	if err != nil {
		return err
	}
	d.db = db
	whole := true
	err = db.View(func(tx *bolt.Tx) error {
		for _, name := range buckets {
			whole = whole && tx.Bucket([]byte(name)) != nil
		}
		return nil
	})
	if err != nil || whole {
		return err
	}
	return db.Update(func(tx *bolt.Tx) error {
		for _, name := range buckets {
			if _, err := tx.CreateBucketIfNotExists([]byte(name)); err != nil {
				return err
			}
		}
		return nil
	})
}

// takeLock holds a file for as long as this process lives and writes its number into it.
func takeLock(path string) (*os.File, error) {
	f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return nil, err
	}
	if err := syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB); err != nil {
		defer f.Close()
		if !errors.Is(err, syscall.EWOULDBLOCK) {
			return nil, fmt.Errorf("lock %s: %w", path, err)
		}
		holder, _ := os.ReadFile(path)
		return nil, fmt.Errorf("%w by process %s: stop it, or choose another directory", ErrInUse, strings.TrimSpace(string(holder)))
	}
	// A number that cannot be written is no reason not to start: the lock holds without it.
	_ = f.Truncate(0)
	_, _ = f.WriteAt([]byte(strconv.Itoa(os.Getpid())+"\n"), 0)
	return f, nil
}

func (d *disk) close() error {
	err := d.db.Close()
	return errors.Join(err, d.lock.Close())
}

var table = crc32.MakeTable(crc32.Castagnoli)

// seal puts a checksum over key and value in front of the value.
func seal(key string, value []byte) []byte {
	sum := crc32.Update(crc32.Checksum([]byte(key), table), table, value)
	return append(binary.LittleEndian.AppendUint32(make([]byte, 0, 4+len(value)), sum), value...)
}

// unseal returns the value that seal sealed.
func unseal(key, sealed []byte) ([]byte, error) {
	if len(sealed) < 4 {
		return nil, fmt.Errorf("record %q: %w", key, errShort)
	}
	value := sealed[4:]
	if crc32.Update(crc32.Checksum(key, table), table, value) != binary.LittleEndian.Uint32(sealed) {
		return nil, fmt.Errorf("record %q: checksum differs", key)
	}
	return value, nil
}

// save makes records durable, all or none. After an error the next save first restores what this one touched, because
// a flush that failed may still have reached the file.
func (d *disk) save(records []record, before func(bucket, key string) []byte) error {
	err := guard(func() error { return d.db.Update(func(tx *bolt.Tx) error { return d.write(tx, records) }) })
	if err != nil {
		for _, r := range records {
			d.heal[[2]string{r.bucket, r.key}] = before(r.bucket, r.key)
		}
		return fmt.Errorf("write to disk: %w", err)
	}
	clear(d.heal)
	return nil
}

func (d *disk) write(tx *bolt.Tx, records []record) error {
	for at, value := range d.heal {
		if err := writeOne(tx, record{at[0], at[1], value}); err != nil {
			return err
		}
	}
	for _, r := range records {
		if err := writeOne(tx, r); err != nil {
			return err
		}
	}
	return nil
}

func writeOne(tx *bolt.Tx, r record) error {
	if r.value == nil {
		return tx.Bucket([]byte(r.bucket)).Delete([]byte(r.key))
	}
	return tx.Bucket([]byte(r.bucket)).Put([]byte(r.key), seal(r.key, r.value))
}

// guard turns a panic, and a fault in the mapped file, into an error: bbolt panics on pages that make no sense.
func guard(f func() error) (err error) {
	defer debug.SetPanicOnFault(debug.SetPanicOnFault(true))
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("%v", p)
		}
	}()
	return f()
}
