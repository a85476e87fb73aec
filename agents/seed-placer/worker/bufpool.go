package worker

import "sync"

// Bodies of these sizes, in bytes, come from a pool: under overload, allocating a body would cost more than rejecting
// its request.
const (
	minPooled = 1 << 10
	maxPooled = 1 << 20
)

var bufferPool sync.Pool // of *[]byte

// getBuffer returns a buffer of n bytes with undefined content.
func getBuffer(n int) []byte {
	if n >= minPooled && n <= maxPooled {
		if b, ok := bufferPool.Get().(*[]byte); ok && cap(*b) >= n {
			return (*b)[:n]
		}
	}
	return make([]byte, n)
}

// putBuffer returns a buffer to the pool. Nobody may use it any more.
func putBuffer(b []byte) {
	if cap(b) >= minPooled && cap(b) <= maxPooled {
		bufferPool.Put(&b)
	}
}
