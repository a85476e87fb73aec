package worker

import "sync"

// Bodies within these bounds, in bytes, lie in memory that is used again: where much is refused, each would cost more than
// its refusal.
const (
	leastBody = 1 << 10
	mostBody  = 1 << 20
)

var bodies sync.Pool // of *[]byte

// body is room for so many bytes.
func body(n int) []byte {
	if n >= leastBody && n <= mostBody {
		if b, ok := bodies.Get().(*[]byte); ok && cap(*b) >= n {
			return (*b)[:n]
		}
	}
	return make([]byte, n)
}

// spend gives a body back that nobody will read any more.
func spend(b []byte) {
	if cap(b) >= leastBody && cap(b) <= mostBody {
		bodies.Put(&b)
	}
}
