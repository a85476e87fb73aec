package worker

import (
	"encoding/binary"
	"fmt"
	"io"
	"os"
	"slices"
	"sync"
	"sync/atomic"
	"unsafe"

	"golang.org/x/sys/unix"
)

// A worker records its active seeds in a shared memory file that the agent reads after the worker has ended, however
// it ended. Each seed has a record: the number of loads in progress, of calls in progress, and its name.
const (
	recordSize   = 160 // bytes of a record
	nameOffset   = 17  // offset of the name, which follows its length
	lengthOffset = 16
	maxRecords   = 4096 // records; further seeds are not recorded
)

// ActivitySize is the size of the activity file in bytes.
const ActivitySize = recordSize * maxRecords

// activity holds the records of a worker. A nil activity records nothing.
type activity struct {
	mu      sync.Mutex
	data    []byte
	records map[string]*seedActivity
}

// seedActivity is the record of one seed.
type seedActivity struct{ loads, calls *atomic.Int64 }

func openActivity(file *os.File) (*activity, error) {
	data, err := unix.Mmap(int(file.Fd()), 0, ActivitySize, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_SHARED)
	if err != nil {
		return nil, fmt.Errorf("map the notes: %w", err)
	}
	return &activity{data: data, records: map[string]*seedActivity{}}, file.Close()
}

// forSeed returns the record of a seed, and adds it on first use.
func (a *activity) forSeed(seed string) *seedActivity {
	if a == nil {
		return &seedActivity{new(atomic.Int64), new(atomic.Int64)}
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	if r := a.records[seed]; r != nil {
		return r
	}
	from := len(a.records) * recordSize
	r := &seedActivity{new(atomic.Int64), new(atomic.Int64)}
	if from+recordSize <= len(a.data) && len(seed) <= recordSize-nameOffset {
		record := a.data[from : from+recordSize]
		copy(record[nameOffset:], seed)
		record[lengthOffset] = byte(len(seed))
		r = &seedActivity{(*atomic.Int64)(unsafe.Pointer(&record[0])), (*atomic.Int64)(unsafe.Pointer(&record[8]))}
	}
	a.records[seed] = r
	return r
}

// ReadActivity returns which seeds a worker that has ended was loading, and which had calls in progress. The content
// is untrusted: the names may belong to no seed.
func ReadActivity(file io.ReaderAt) (loading, calling []string) {
	data := make([]byte, ActivitySize)
	n, _ := file.ReadAt(data, 0)
	for record := range slices.Chunk(data[:n-n%recordSize], recordSize) {
		size := int(record[lengthOffset])
		if size == 0 || nameOffset+size > recordSize {
			return loading, calling
		}
		name := string(record[nameOffset : nameOffset+size])
		if int64(binary.NativeEndian.Uint64(record)) > 0 {
			loading = append(loading, name)
		} else if int64(binary.NativeEndian.Uint64(record[8:])) > 0 {
			calling = append(calling, name)
		}
	}
	return loading, calling
}
