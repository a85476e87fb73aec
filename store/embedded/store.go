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

// Options say how a store presents itself; the zero value is a good one.
type Options struct {
	Node       string // the one node that sessions and services belong to; default: the host's name
	Datacenter string // default: dc1
	Address    string // the node's address as the catalog shows it; default: 127.0.0.1
}

// Store is an open data directory.
type Store struct {
	options Options
	disk    *disk
	view    atomic.Pointer[view]
	delays  delays
	expiry  expiry
	probes  probes
	writer
}

// writer is what belongs to the goroutine that writes, and how it is reached and stopped.
type writer struct {
	queue     chan proposal
	batch     []proposal
	lastBatch int
	closing   chan struct{}
	stopped   chan struct{}
	once      sync.Once
	others    sync.WaitGroup // goroutines that end with the store
}

// Open opens a data directory, making it if need be. One process can have it open: for another the error wraps
// ErrInUse and names the process. A file that cannot be trusted is left alone and the error wraps ErrCorrupt.
func Open(dir string, options Options) (*Store, error) {
	if dir == "" {
		return nil, errors.New("open store: data directory is empty")
	}
	options, err := options.complete()
	if err != nil {
		return nil, err
	}
	d, err := openDisk(dir)
	if err != nil {
		return nil, err
	}
	v, err := d.load()
	if err != nil {
		return nil, errors.Join(err, d.close())
	}
	s := &Store{options: options, disk: d}
	s.queue, s.closing, s.stopped = make(chan proposal, maxBatch), make(chan struct{}), make(chan struct{})
	s.view.Store(v)
	s.expiry.init(s)
	s.probes.init(s)
	go s.write()
	s.others.Go(s.reapGraves)
	s.resume(v)
	return s, nil
}

func (o Options) complete() (Options, error) {
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

// resume takes up what the last process left: sessions get a whole TTL again, lock delays begin again, checks run again.
// How long nothing ran cannot be told: the wall clock may have been set.
func (s *Store) resume(v *view) {
	v.delayed.Root().Walk(func(key []byte, delay uint64) bool {
		s.delays.set([]string{string(key)}, time.Now().Add(time.Duration(delay)))
		return false
	})
	for _, x := range all(v.sessions) {
		s.expiry.renew(x)
	}
	for _, c := range all(v.checks) {
		s.probes.start(c)
	}
}

// Close ends blocking queries, waits for the writes under way and closes the data file.
func (s *Store) Close() error {
	var err error
	s.once.Do(func() {
		close(s.closing)
		<-s.stopped
		s.expiry.stop()
		s.probes.stop()
		s.others.Wait()
		err = s.disk.close()
	})
	return err
}

const (
	graveLife  = 15 * time.Minute
	graveTicks = time.Minute
)

// reapGraves forgets lock delays that are over, and removes gravestones that are older than any blocking query can be. Ages count from this process's start.
func (s *Store) reapGraves() {
	tick := time.NewTicker(graveTicks)
	defer tick.Stop()
	var marks []uint64 // the store's index at each tick, oldest first
	for {
		select {
		case <-s.closing:
			return
		case <-tick.C:
		}
		marks = append(marks, s.view.Load().index)
		if len(marks) > int(graveLife/graveTicks) {
			// A reap that the disk refuses is made up for at the next tick.
			_, _ = s.propose(context.Background(), reap(marks[0]))
			marks = marks[1:]
		}
		_, _ = s.propose(context.Background(), s.forgetDelays)
	}
}

// forgetDelays removes the lock delays that are over from the disk.
func (s *Store) forgetDelays(c *change) (any, error) {
	if c.delayed != s.view.Load().delayed {
		return nil, nil // A delay that begins in this very batch does not count yet; the next tick sees.
	}
	var over []string
	c.delayed.Root().Walk(func(key []byte, _ uint64) bool {
		if !s.delays.active(string(key)) {
			over = append(over, string(key))
		}
		return false
	})
	for _, key := range over {
		drop(c, &c.delayed, key)
		c.log(bucketDelays, key, nil)
	}
	return nil, nil
}

// reap removes gravestones up to an index. It moves no index that anybody sees except by their absence, as in Consul.
func reap(upTo uint64) func(*change) (any, error) {
	return func(c *change) (any, error) {
		var old []string
		c.graves.Root().Walk(func(key []byte, g grave) bool {
			if g.index <= upTo {
				old = append(old, string(key))
			}
			return false
		})
		for _, key := range old {
			drop(c, &c.graves, key)
			c.log(bucketGraves, key, nil)
		}
		return nil, nil
	}
}
