package worker

import "sync"

// Bodies within these bounds, in bytes, lie in memory that is used again: where much is refused, each would cost more than
// its refusal.
const (
	minPooled = 1 << 10
	maxPooled = 1 << 20
)

var bufferPool sync.Pool // of *[]byte

// getBuffer is room for so many bytes.
func getBuffer(n int) []byte {
	if n >= minPooled && n <= maxPooled {
		if b, ok := bufferPool.Get().(*[]byte); ok && cap(*b) >= n {
			return (*b)[:n]
		}
	}
	return make([]byte, n)
}

// putBuffer gives a body back that nobody will read any more.
func putBuffer(b []byte) {
	if cap(b) >= minPooled && cap(b) <= maxPooled {
		bufferPool.Put(&b)
	}
}
