package engine

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/tetratelabs/wazero/sys"
)

// Code is the reason of a failed call. Seeds see the number.
type Code int32

// The codes.
const (
	NotFound     Code = -1 // no such seed or function
	Overloaded   Code = -2 // retry later
	Deadline     Code = -3 // the deadline has passed
	Denied       Code = -4 // not granted
	Cycle        Code = -5 // cyclic or too deep
	TooLarge     Code = -6
	CalleeFailed Code = -7 // the seed ran and failed
	Unavailable  Code = -8 // no replica is ready
)

var codes = map[Code]string{NotFound: "not_found", Overloaded: "overloaded", Deadline: "deadline", Denied: "denied",
	Cycle: "cycle", TooLarge: "too_large", CalleeFailed: "callee_failed", Unavailable: "unavailable"}

// String returns the code as a word.
func (c Code) String() string { return codes[c] }

// CodeOf returns the code of a word, or CalleeFailed if there is none.
func CodeOf(word string) Code {
	for c, w := range codes {
		if w == word {
			return c
		}
	}
	return CalleeFailed
}

// Error is the error of a call.
type Error struct {
	Code       Code
	Text       string
	RetryAfter time.Duration // suggested delay, for Overloaded and Unavailable
}

// Error implements error.
func (e *Error) Error() string { return e.Code.String() + ": " + e.Text }

// AsError converts err to an [*Error]; unknown errors become CalleeFailed.
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

// trap converts the error of a call that did not return normally.
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
