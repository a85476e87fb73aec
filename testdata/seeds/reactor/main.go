// Command reactor is a warm seed with a function for each thing that a seed can do.
package main

import (
	"bytes"
	"crypto/sha256"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/platypus-platform/platypus/agents/guest"
)

func main() {}

var calls int

//go:wasmexport hello
func hello() int32 {
	guest.Output([]byte("hello, "), guest.Input())
	return 0
}

// nothing is the least that a function can do.
//
//go:wasmexport nothing
func nothing() int32 { return 0 }

//go:wasmexport count
func count() int32 {
	calls++
	guest.Output(fmt.Appendf(nil, "%d", calls))
	return 0
}

//go:wasmexport upper
func upper() int32 {
	guest.Output(bytes.ToUpper(guest.Input()))
	return 0
}

//go:wasmexport sum
func sum() int32 {
	guest.Output(fmt.Appendf(nil, "%x", sha256.Sum256(guest.Input())))
	return 0
}

//go:wasmexport fail
func fail() int32 {
	guest.Output([]byte("this went wrong"))
	return 7
}

//go:wasmexport about
func about() int32 {
	guest.Output(fmt.Appendf(nil, "%s called by %q over %s", guest.Meta("seed"), guest.Meta("caller"), guest.Meta("chain")))
	return 0
}

// relay calls "URI input" and says what came back.
//
//go:wasmexport relay
func relay() int32 {
	uri, input, _ := strings.Cut(string(guest.Input()), " ")
	answer, err := guest.Call(uri, []byte(input), 0)
	var e *guest.Error
	if errors.As(err, &e) {
		guest.Output(fmt.Appendf(nil, "%d %s", e.Code, e.Text))
		return 1
	}
	guest.Output([]byte("relayed "), answer)
	return 0
}

//go:wasmexport handon
func handon() int32 {
	uri, input, _ := strings.Cut(string(guest.Input()), " ")
	if err := guest.TailCall(uri, []byte(input)); err != nil {
		guest.Output([]byte(err.Error()))
		return 1
	}
	guest.Output([]byte("what is said before a call is handed on counts for nothing"))
	return 0
}

//go:wasmexport nap
func nap() int32 {
	d, err := time.ParseDuration(string(guest.Input()))
	if err != nil {
		return 1
	}
	time.Sleep(d)
	guest.Output([]byte("slept"))
	return 0
}

//go:wasmexport say
func say() int32 {
	guest.Log(guest.Info, string(guest.Input()))
	return 0
}
