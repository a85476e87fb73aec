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
	busySize   = 160 // bytes of a record
	busyName   = 17  // where the name begins, behind its length
	busyLength = 16
	busyMost   = 4096 // records; of seeds beyond nothing is noted
)

// BusySize is the size of the file that notes what a worker is at work on, in bytes.
const BusySize = busySize * busyMost

// notes are the records of a worker. Without a file they are kept for nobody.
type notes struct {
	mu   sync.Mutex
	data []byte
	at   map[string]*note
}

// note is the record of one seed.
type note struct{ loads, calls *atomic.Int64 }

func openNotes(file *os.File) (*notes, error) {
	data, err := unix.Mmap(int(file.Fd()), 0, BusySize, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_SHARED)
	if err != nil {
		return nil, fmt.Errorf("map the notes: %w", err)
	}
	return &notes{data: data, at: map[string]*note{}}, file.Close()
}

// of returns the record of a seed.
func (n *notes) of(seed string) *note {
	if n == nil {
		return &note{new(atomic.Int64), new(atomic.Int64)}
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	if r := n.at[seed]; r != nil {
		return r
	}
	from := len(n.at) * busySize
	r := &note{new(atomic.Int64), new(atomic.Int64)}
	if from+busySize <= len(n.data) && len(seed) <= busySize-busyName {
		record := n.data[from : from+busySize]
		copy(record[busyName:], seed)
		record[busyLength] = byte(len(seed))
		r = &note{(*atomic.Int64)(unsafe.Pointer(&record[0])), (*atomic.Int64)(unsafe.Pointer(&record[8]))}
	}
	n.at[seed] = r
	return r
}

// Busy reads which seeds a worker that has ended was making ready, and which had calls under way. What it wrote is not
// to be trusted: names may be of no seed at all.
func Busy(file io.ReaderAt) (loading, calling []string) {
	data := make([]byte, BusySize)
	n, _ := file.ReadAt(data, 0)
	for record := range slices.Chunk(data[:n-n%busySize], busySize) {
		size := int(record[busyLength])
		if size == 0 || busyName+size > busySize {
			return loading, calling
		}
		name := string(record[busyName : busyName+size])
		if int64(binary.NativeEndian.Uint64(record)) > 0 {
			loading = append(loading, name)
		} else if int64(binary.NativeEndian.Uint64(record[8:])) > 0 {
			calling = append(calling, name)
		}
	}
	return loading, calling
}
