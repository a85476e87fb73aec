package engine

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/tetratelabs/wazero/sys"
)

// Code says in a number, which seeds get too, why a call failed.
type Code int32

// The codes.
const (
	NotFound     Code = -1 // no such seed or function
	Overloaded   Code = -2 // refused for now: try again after a while
	Deadline     Code = -3 // the time was over
	Denied       Code = -4 // not granted
	Cycle        Code = -5 // the call goes in a circle, or too deep
	TooLarge     Code = -6
	CalleeFailed Code = -7 // the seed ran and failed
	Unavailable  Code = -8 // there is nobody ready to ask
)

var codes = map[Code]string{NotFound: "not_found", Overloaded: "overloaded", Deadline: "deadline", Denied: "denied",
	Cycle: "cycle", TooLarge: "too_large", CalleeFailed: "callee_failed", Unavailable: "unavailable"}

// String is the code in a word.
func (c Code) String() string { return codes[c] }

// CodeOf returns the code of a word, or CalleeFailed when none has it.
func CodeOf(word string) Code {
	for c, w := range codes {
		if w == word {
			return c
		}
	}
	return CalleeFailed
}

// Error is how a call failed.
type Error struct {
	Code       Code
	Text       string
	RetryAfter time.Duration // when to try again, for Overloaded and Unavailable
}

// Error says it in one line.
func (e *Error) Error() string { return e.Code.String() + ": " + e.Text }

// AsError returns err as an [*Error]; what is not one yet counts as the callee's failure.
func AsError(err error) *Error {
	var e *Error
	switch {
	case errors.As(err, &e):
		return e
	case errors.Is(err, context.DeadlineExceeded):
		return &Error{Code: Deadline, Text: "the time for the call is over"}
	case errors.Is(err, context.Canceled):
		return &Error{Code: Deadline, Text: "the caller went away"}
	}
	return &Error{Code: CalleeFailed, Text: err.Error()}
}

// trap turns what wazero says of a call that did not return into an error.
func trap(err error, limit time.Duration) *Error {
	var exit *sys.ExitError
	if errors.As(err, &exit) {
		switch exit.ExitCode() {
		case sys.ExitCodeDeadlineExceeded, sys.ExitCodeContextCanceled:
			return &Error{Code: Deadline, Text: fmt.Sprintf("ended after its %v", limit)}
		default:
			return &Error{Code: CalleeFailed, Text: fmt.Sprintf("exit code %d", exit.ExitCode())}
		}
	}
	text, _, _ := strings.Cut(err.Error(), "\n")
	return &Error{Code: CalleeFailed, Text: text}
}
