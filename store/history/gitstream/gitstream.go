// Package gitstream writes a history as input of `git fast-import`, and reads the output of `git fast-export`, without
// linking or running git. Git can keep a history longer than the store does.
//
// Data without a place in git goes into trailers at the end of the message, where `git log` shows them.
package gitstream

import (
	"strings"
	"time"
)

// Commit is one commit of a linear history.
type Commit struct {
	Mark     uint64 // its number in the stream, not 0
	Author   Person
	When     time.Time // to the second
	Message  string    // without NUL
	Trailers []Trailer
	Files    []File
	Whole    bool // Files is the whole tree: all other paths are deleted
}

// Person is an author. Git forbids angle brackets and line breaks in both fields.
type Person struct{ Name, Email string }

// Trailer is one line at the end of a message.
type Trailer struct{ Key, Value string }

// File is one path changed by a commit.
type File struct {
	Path   string
	Data   []byte
	Delete bool
}

// Tag is a name for a commit.
type Tag struct {
	Name   string
	Mark   uint64
	Object string // hash of a commit that git already has, instead of a mark
}

// Trailer returns the value of the trailer with that key, or "".
func (c Commit) Trailer(key string) string {
	for _, t := range c.Trailers {
		if strings.EqualFold(t.Key, key) {
			return t.Value
		}
	}
	return ""
}

// appendTrailers appends the trailers to a message as its last paragraph.
func appendTrailers(message string, trailers []Trailer) string {
	message = removeChars(message, "\x00")
	if len(trailers) == 0 {
		return message
	}
	var b strings.Builder
	b.WriteString(message)
	b.WriteString("\n\n")
	for _, t := range trailers {
		b.WriteString(t.Key + ": " + removeChars(t.Value, "\x00\r\n") + "\n")
	}
	return b.String()
}

// Message splits the message of a git commit into text and trailers.
func Message(text string) (message string, trailers []Trailer) { return splitTrailers(text) }

// splitTrailers reverses appendTrailers. The last paragraph counts only if every line is a trailer.
func splitTrailers(text string) (message string, trailers []Trailer) {
	at := strings.LastIndex(text, "\n\n")
	if at < 0 || !strings.HasSuffix(text, "\n") {
		return text, nil
	}
	for line := range strings.Lines(text[at+2:]) {
		key, value, found := strings.Cut(strings.TrimSuffix(line, "\n"), ": ")
		if !found || key == "" || strings.Trim(key, letters) != "" {
			return text, nil
		}
		trailers = append(trailers, Trailer{key, value})
	}
	if len(trailers) == 0 {
		return text, nil
	}
	return text[:at], trailers
}

const letters = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz-"

// removeChars removes characters that git forbids.
func removeChars(text, forbidden string) string {
	return strings.Map(func(r rune) rune {
		if strings.ContainsRune(forbidden, r) {
			return ' '
		}
		return r
	}, strings.ToValidUTF8(text, "\uFFFD"))
}
