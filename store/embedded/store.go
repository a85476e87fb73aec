package embedded

import (
	"context"
	"errors"
	"fmt"
	"os"
	"sync"
	"sync/atomic"
	"time"
)

// Options are the names a store reports to its clients. The zero value is valid.
type Options struct {
	Node       string // the node that sessions and services belong to; default: the host name
	Datacenter string // default: dc1
	Address    string // the node's address in the catalog; default: 127.0.0.1
}

// Store is an open data directory.
type Store struct {
	options     Options
	disk        *disk
	snapshot    atomic.Pointer[snapshot]
	delays      delays
	expiry      expiry
	checkRunner checkRunner

	queue      chan writeRequest
	batch      []writeRequest
	lastBatch  int
	closing    chan struct{}
	stopped    chan struct{}
	closeOnce  sync.Once
	background sync.WaitGroup // goroutines that Close waits for
}

// Open opens a data directory and creates it if necessary. One process at a time can hold it: for another the error
// wraps ErrInUse and names the holder. A damaged file is left unchanged and the error wraps ErrCorrupt.
func Open(dir string, options Options) (*Store, error) {
	if dir == "" {
		return nil, errors.New("open store: data directory is empty")
	}
	options, err := options.withDefaults()
	if err != nil {
		return nil, err
	}
	d, err := openDisk(dir)
	if err != nil {
		return nil, err
	}
	snap, err := d.load()
	if err != nil {
		return nil, errors.Join(err, d.close())
	}
	s := &Store{options: options, disk: d}
	s.queue, s.closing, s.stopped = make(chan writeRequest, maxBatch), make(chan struct{}), make(chan struct{})
	s.snapshot.Store(snap)
	s.expiry.init(s)
	s.checkRunner.init(s)
	go s.commitLoop()
	s.background.Go(s.expireTombstones)
	s.resume(snap)
	return s, nil
}

func (o Options) withDefaults() (Options, error) {
	if o.Node == "" {
		name, err := os.Hostname()
		if err != nil {
			return o, fmt.Errorf("name the node: %w", err)
		}
		o.Node = name
	}
	if o.Datacenter == "" {
		o.Datacenter = "dc1"
	}
	if o.Address == "" {
		o.Address = "127.0.0.1"
	}
	return o, nil
}

// resume restarts timers and checks after a restart: each session gets its full TTL again and each lock delay starts
// over. The downtime is unknown because the wall clock may have been set.
func (s *Store) resume(snap *snapshot) {
	snap.lockDelays.Root().Walk(func(key []byte, delay uint64) bool {
		s.delays.set([]string{string(key)}, time.Now().Add(time.Duration(delay)))
		return false
	})
	for _, x := range valuesOf(snap.sessions) {
		s.expiry.renew(x)
	}
	for _, c := range valuesOf(snap.checks) {
		s.checkRunner.start(c)
	}
}

// Close ends blocking queries, waits for the write in progress and closes the data file.
func (s *Store) Close() error {
	var err error
	s.closeOnce.Do(func() {
		close(s.closing)
		<-s.stopped
		s.expiry.stop()
		s.checkRunner.stop()
		s.background.Wait()
		err = s.disk.close()
	})
	return err
}

const (
	tombstoneTTL  = 15 * time.Minute
	tombstoneTick = time.Minute
)

// expireTombstones removes lock delays that have ended and tombstones older than the longest blocking query. Ages count
// from the start of this process.
func (s *Store) expireTombstones() {
	tick := time.NewTicker(tombstoneTick)
	defer tick.Stop()
	var tickIndexes []uint64 // the store's index at each tick, oldest first
	for {
		select {
		case <-s.closing:
			return
		case <-tick.C:
		}
		tickIndexes = append(tickIndexes, s.snapshot.Load().index)
		if len(tickIndexes) > int(tombstoneTTL/tombstoneTick) {
			// If the disk rejects this, the next tick tries again.
			_, _ = s.submit(context.Background(), deleteTombstones(tickIndexes[0]))
			tickIndexes = tickIndexes[1:]
		}
		_, _ = s.submit(context.Background(), s.removeEndedDelays)
	}
}

// removeEndedDelays removes lock delays that have ended from the disk.
func (s *Store) removeEndedDelays(m *mutation) (any, error) {
	if m.lockDelays != s.snapshot.Load().lockDelays {
		return nil, nil // A delay added earlier in this batch has no timer yet; the next tick handles it.
	}
	var ended []string
	m.lockDelays.Root().Walk(func(key []byte, _ uint64) bool {
		if !s.delays.active(string(key)) {
			ended = append(ended, string(key))
		}
		return false
	})
	for _, key := range ended {
		treeDelete(m, &m.lockDelays, key)
		m.logRecord(bucketDelays, key, nil)
	}
	return nil, nil
}

// deleteTombstones removes tombstones up to an index. As in Consul, clients see only their absence.
func deleteTombstones(upTo uint64) func(*mutation) (any, error) {
	return func(m *mutation) (any, error) {
		var expired []string
		m.tombstones.Root().Walk(func(key []byte, g tombstone) bool {
			if g.index <= upTo {
				expired = append(expired, string(key))
			}
			return false
		})
		for _, key := range expired {
			treeDelete(m, &m.tombstones, key)
			m.logRecord(bucketTombstones, key, nil)
		}
		return nil, nil
	}
}
