package consultest

import (
	"bytes"
	"sync"
)

// Output keeps what a process says. It may be read while the process talks.
type Output struct {
	mu   sync.Mutex
	text bytes.Buffer
}

// Write implements io.Writer.
func (o *Output) Write(p []byte) (int, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.text.Write(p)
}

// String is all that was said so far.
func (o *Output) String() string {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.text.String()
}

// tailSize is how much the end of what was said is, in bytes.
const tailSize = 6000

// Last is the end of what was said.
func (o *Output) Last() string {
	said := o.String()
	return said[max(0, len(said)-tailSize):]
}
