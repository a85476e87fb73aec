// Package gitstream writes a history in the form that `git fast-import` reads, and reads what `git fast-export` writes.
// So git keeps for ever what the store keeps for a while, and nothing of git needs to be linked or run.
//
// What git has no place for goes into trailers at the end of the message, where `git log` shows them.
package gitstream

import (
	"strings"
	"time"
)

// Commit is one commit of a single line of history.
type Commit struct {
	Mark     uint64 // its number in the stream, not 0
	Author   Person
	When     time.Time // git keeps seconds
	Message  string    // git keeps no NUL
	Trailers []Trailer
	Files    []File
	Whole    bool // Files is the whole tree: what is not among them is deleted
}

// Person is an author. Git keeps no angle brackets and no line breaks in either.
type Person struct{ Name, Email string }

// Trailer is one line at the end of a message.
type Trailer struct{ Key, Value string }

// File is one path that a commit changed.
type File struct {
	Path   string
	Data   []byte
	Delete bool
}

// Tag is a name for a commit.
type Tag struct {
	Name   string
	Mark   uint64
	Object string // of a commit that git has already: its hash, in place of a mark
}

// Trailer returns the value of the trailer of that key, or "".
func (c Commit) Trailer(key string) string {
	for _, t := range c.Trailers {
		if strings.EqualFold(t.Key, key) {
			return t.Value
		}
	}
	return ""
}

// join puts the trailers below a message, in a paragraph of their own.
func join(message string, trailers []Trailer) string {
	message = clean(message, "\x00")
	if len(trailers) == 0 {
		return message
	}
	var b strings.Builder
	b.WriteString(message)
	b.WriteString("\n\n")
	for _, t := range trailers {
		b.WriteString(t.Key + ": " + clean(t.Value, "\x00\r\n") + "\n")
	}
	return b.String()
}

// Message parts the message of a commit, as git keeps it, from its trailers.
func Message(text string) (message string, trailers []Trailer) { return split(text) }

// split is the reverse of join. Only a last paragraph in which every line is a trailer counts.
func split(text string) (message string, trailers []Trailer) {
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

// clean takes the characters that git cannot keep out of a text.
func clean(text, forbidden string) string {
	return strings.Map(func(r rune) rune {
		if strings.ContainsRune(forbidden, r) {
			return ' '
		}
		return r
	}, strings.ToValidUTF8(text, "\uFFFD"))
}
