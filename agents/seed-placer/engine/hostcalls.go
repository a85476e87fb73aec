package engine

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"time"

	"github.com/tetratelabs/wazero/api"
)

// maxURI limits the URI of a call, in bytes.
const maxURI = 1 << 10

// callOther is pln.call: it calls another seed by its URI.
func (i *instance) callOther(m api.Module, stack []uint64) {
	uri, input, err := i.readRequest(m, stack)
	if err != nil {
		stack[0] = i.recordError(err)
		return
	}
	ctx, cancel := i.waitContext(int32(stack[4]))
	defer cancel()
	output, err := i.seed.host.Call(ctx, i.call, string(uri), input)
	stack[0] = i.storeReply(output, err)
}

// tailCall is pln.tail_call: the output of another seed becomes the output of this call, after this call has returned
// and freed its instance.
func (i *instance) tailCall(m api.Module, stack []uint64) {
	uri, input, err := i.readRequest(m, stack)
	if err != nil {
		stack[0] = uint64(uint32(int32(AsError(err).Code)))
		return
	}
	i.call.Tail = &Tail{URI: string(uri), Input: input}
	stack[0] = 0
}

// readRequest copies the URI and the input of a call, because the guest may change both once it continues.
func (i *instance) readRequest(m api.Module, stack []uint64) (uri, input []byte, err error) {
	uri, ok := m.Memory().Read(uint32(stack[0]), min(uint32(stack[1]), maxURI+1))
	if !ok || len(uri) > maxURI {
		return nil, nil, &Error{Code: TooLarge, Text: "the address of a call is too long"}
	}
	input, ok = m.Memory().Read(uint32(stack[2]), uint32(stack[3]))
	if !ok || len(input) > MaxInput {
		return nil, nil, &Error{Code: TooLarge, Text: fmt.Sprintf("input of more than %d bytes", MaxInput)}
	}
	return bytes.Clone(uri), bytes.Clone(input), nil
}

// fetch is pln.http_fetch.
func (i *instance) fetch(m api.Module, stack []uint64) {
	request, ok := m.Memory().Read(uint32(stack[0]), uint32(stack[1]))
	if !ok || len(request) > MaxInput {
		stack[0] = i.recordError(&Error{Code: TooLarge, Text: fmt.Sprintf("request of more than %d bytes", MaxInput)})
		return
	}
	ctx, cancel := i.waitContext(int32(stack[2]))
	defer cancel()
	output, err := i.seed.host.Fetch(ctx, i.call, bytes.Clone(request))
	stack[0] = i.storeReply(output, err)
}

// waitContext returns a context that ends after ms, if positive, and at the deadline of the call at the latest.
func (i *instance) waitContext(ms int32) (context.Context, context.CancelFunc) {
	deadline := i.call.Deadline
	if wanted := time.Now().Add(time.Duration(ms) * time.Millisecond); ms > 0 && wanted.Before(deadline) {
		deadline = wanted
	}
	return context.WithDeadline(i.ctx, deadline)
}

// storeReply stores a reply and returns its handle and length, or records err and returns its code.
func (i *instance) storeReply(output []byte, err error) uint64 {
	if err != nil {
		return i.recordError(err)
	}
	if !i.memory.reserveHost(int64(len(output))) {
		return i.recordError(&Error{Code: Overloaded, Text: "this node has no memory left for the reply", RetryAfter: memoryRetryAfter})
	}
	handle := -1
	for h := range i.replies {
		if !i.replies[h].open {
			handle = h
			break
		}
	}
	switch {
	case handle >= 0:
	case len(i.replies) >= maxOpen:
		i.memory.releaseHost(int64(len(output)))
		return i.recordError(&Error{Code: TooLarge, Text: fmt.Sprintf("%d replies are open: close some", maxOpen)})
	default:
		i.replies = append(i.replies, reply{})
		handle = len(i.replies) - 1
	}
	i.replies[handle] = reply{data: output, open: true}
	return uint64(handle)<<32 | uint64(uint32(len(output)))
}

func (i *instance) recordError(err error) uint64 {
	e := AsError(err)
	text, _ := json.Marshal(map[string]any{"code": e.Code.String(), "error": e.Text, "retry_after_ms": e.RetryAfter.Milliseconds()})
	i.lastError = string(text)
	return uint64(int64(e.Code))
}

func (i *instance) replyRead(m api.Module, stack []uint64) {
	handle := uint32(stack[0])
	if handle >= uint32(len(i.replies)) || !i.replies[handle].open {
		stack[0] = signed(int32(NotFound))
		return
	}
	stack[0] = copyOut(m, i.replies[handle].data, uint32(stack[1]), uint32(stack[2]), uint32(stack[3]))
}

func (i *instance) replyClose(_ api.Module, stack []uint64) {
	handle := uint32(stack[0])
	if handle >= uint32(len(i.replies)) || !i.replies[handle].open {
		stack[0] = signed(int32(NotFound))
		return
	}
	i.memory.releaseHost(int64(len(i.replies[handle].data)))
	i.replies[handle] = reply{}
	stack[0] = 0
}
