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

// What a worker is at work on stands in a file that the agent can read when the worker has ended, however it ended: a
// record for each seed, the numbers of its loads and of its calls that are under way, and its name.
const (
	recordSize   = 160 // bytes of a record
	nameOffset   = 17  // where the name begins, behind its length
	lengthOffset = 16
	maxRecords   = 4096 // records; of seeds beyond nothing is noted
)

// ActivitySize is the size of the file that notes what a worker is at work on, in bytes.
const ActivitySize = recordSize * maxRecords

// activity are the records of a worker. Without a file they are kept for nobody.
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

// forSeed returns the record of a seed.
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

// ReadActivity reads which seeds a worker that has ended was making ready, and which had calls under way. What it wrote is not
// to be trusted: names may be of no seed at all.
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
