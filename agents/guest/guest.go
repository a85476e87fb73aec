// Package guest is what a Go program uses to be a warm seed: it reads its input, answers, calls other seeds and fetches
// what it may. It is a module of its own, so that a seed does not depend on anything that the agents depend on; it
// imports the standard library alone. Build a seed with
//
//	GOOS=wasip1 GOARCH=wasm go build -buildmode=c-shared -o hello.wasm .
//
// where each exported function of type func() int32 is one that can be called:
//
//	//go:wasmexport hello
//	func hello() int32 {
//		guest.Output([]byte("hello, "), guest.Input())
//		return 0
//	}
//
//	func main() {}
//
// A result other than 0 is a failure, and what was answered says why. Package web makes an http.Handler a seed. On other
// systems the package compiles, and every function fails.
package guest

import (
	"encoding/json"
	"fmt"
	"time"
)

// Code says why a call failed.
type Code int32

// The codes.
const (
	NotFound     Code = -1
	Overloaded   Code = -2
	Deadline     Code = -3
	Denied       Code = -4
	Cycle        Code = -5
	TooLarge     Code = -6
	CalleeFailed Code = -7
	Unavailable  Code = -8
)

// Error is how a call of another seed, or a fetch, failed.
type Error struct {
	Code       Code
	Text       string
	RetryAfter time.Duration // when to try again, for Overloaded and Unavailable
}

// Error says it in one line.
func (e *Error) Error() string { return fmt.Sprintf("%s (code %d)", e.Text, e.Code) }

// The levels of Log.
const (
	Debug = iota
	Info
	Warn
	Severe
)

// lastError is the error of the call that just failed.
func lastError(code Code) error {
	buffer := make([]byte, 1<<10)
	n := errorRead(buffer)
	if n > len(buffer) {
		buffer = make([]byte, n)
		n = min(errorRead(buffer), n)
	}
	var said struct {
		Error string `json:"error"`
		After int64  `json:"retry_after_ms"`
	}
	_ = json.Unmarshal(buffer[:n], &said) // without its words the code still says enough
	return &Error{code, said.Error, time.Duration(said.After) * time.Millisecond}
}

// answer takes what call and fetch return: a handle and a length, or a code.
func answer(result int64) ([]byte, error) {
	if result < 0 {
		return nil, lastError(Code(result))
	}
	handle, data := int32(result>>32), make([]byte, uint32(result))
	replyRead(handle, data)
	replyClose(handle)
	return data, nil
}

// Call calls a function of another seed, "pln://seed/<name>/<function>", and returns its answer. It takes at most
// timeout, or with 0 as long as this call may still take.
func Call(uri string, input []byte, timeout time.Duration) ([]byte, error) {
	return answer(call(uri, input, int32(timeout.Milliseconds())))
}

// TailCall hands this call on: what the other seed answers is the answer, once this function has returned 0.
func TailCall(uri string, input []byte) error {
	if code := tailCall(uri, input); code != 0 {
		return &Error{Code: Code(code), Text: "the call cannot be handed on"}
	}
	return nil
}

// Fetch makes an HTTP request in the form that a proxy gets, and returns the response as on the wire. Package web has
// a http.RoundTripper on top of it.
func Fetch(request []byte, timeout time.Duration) ([]byte, error) {
	return answer(httpFetch(request, int32(timeout.Milliseconds())))
}

// Remaining is how long this call may still take.
func Remaining() time.Duration {
	var ms int64
	if _, err := fmt.Sscan(Meta("deadline_ms"), &ms); err != nil {
		return 0
	}
	return time.Duration(ms) * time.Millisecond
}
