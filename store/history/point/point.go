// Package point parses the names of moments in the history of intent:
//
//	42                          the commit of that number; 0 is before the first
//	head                        the newest commit (also now, latest)
//	2026-11-21T15:04:05Z        the newest commit at that time (RFC 3339)
//	2026-11-21 15:04            the same in local time; the time of day may be left out: the day's first moment
//	2h ago, 1d12h ago, 3 days ago
//	today 9:00, yesterday 15:00, 15:00
//	index:1042                  the newest commit at that index of the store
//	golden                      the commit with that tag
package point

import (
	"fmt"
	"math"
	"strconv"
	"strings"
	"time"

	"github.com/platypus-platform/platypus/intent"
)

// Kind is the form of a point.
type Kind string

// The kinds.
const (
	Head  Kind = "head"
	Seq   Kind = "seq"
	Time  Kind = "time"
	Index Kind = "index"
	Tag   Kind = "tag"
)

// Point is a moment in a history.
type Point struct {
	Kind   Kind
	Number uint64    // number of a commit, or index of the store
	Time   time.Time // inclusive
	Tag    intent.Name
}

// reserved are words that cannot be tags.
var reserved = map[string]bool{"head": true, "now": true, "latest": true, "today": true, "yesterday": true}

// forms lists the accepted forms, for errors.
const forms = "a point is a number, a tag, head, a time such as 2026-11-21T15:04:05Z, \"yesterday 15:00\" or \"2h ago\""

// Parse parses text. Times of day are in the location of now.
func Parse(text string, now time.Time) (Point, error) {
	text = strings.TrimSpace(text)
	lower := strings.ToLower(text)
	if number, ok := strings.CutPrefix(lower, "index:"); ok {
		n, err := strconv.ParseUint(number, 10, 64)
		if err != nil {
			return Point{}, fmt.Errorf("index %q is not a number", number)
		}
		return Point{Kind: Index, Number: n}, nil
	}
	if text != "" && strings.Trim(text, "0123456789") == "" {
		n, err := strconv.ParseUint(text, 10, 64)
		if err != nil {
			return Point{}, fmt.Errorf("point %s is larger than any number of a commit", text)
		}
		return Point{Kind: Seq, Number: n}, nil
	}
	if reserved[lower] && lower != "today" && lower != "yesterday" {
		return Point{Kind: Head}, nil
	}
	if at, isTime, err := parseTime(text, now); isTime {
		if err == nil && at.After(now) {
			err = fmt.Errorf("point %q lies in the future: it is %s now", text, now.Format(time.RFC3339))
		}
		return Point{Kind: Time, Time: at}, err
	}
	tag, err := TagName(text)
	if err != nil {
		return Point{}, fmt.Errorf("unknown point %q: %s", text, forms)
	}
	return Point{Kind: Tag, Tag: tag}, nil
}

// TagName parses text as the name of a tag. Text that is another kind of point is rejected.
func TagName(text string) (intent.Name, error) {
	name, err := intent.ParseName(text)
	if err != nil {
		return "", fmt.Errorf("tag: %w", err)
	}
	_, isTime, _ := parseTime(text, time.Unix(0, 0).UTC())
	if reserved[strings.ToLower(text)] || isTime || strings.Trim(text, "0123456789") == "" {
		return "", fmt.Errorf("tag %q would be read as another kind of point: choose a word", text)
	}
	return name, nil
}

// Split splits KEY@POINT. pointed is false without an @.
func Split(text string) (key, at string, pointed bool) { return strings.Cut(text, "@") }

// String returns the point in a form that Parse accepts.
func (p Point) String() string {
	switch p.Kind {
	case Seq:
		return strconv.FormatUint(p.Number, 10)
	case Index:
		return "index:" + strconv.FormatUint(p.Number, 10)
	case Time:
		return p.Time.UTC().Format(time.RFC3339Nano)
	case Tag:
		return string(p.Tag)
	}
	return string(Head)
}

// parseTime parses a time. isTime reports whether text looks like one at all.
func parseTime(text string, now time.Time) (at time.Time, isTime bool, err error) {
	if span, ago := strings.CutSuffix(strings.ToLower(text), "ago"); ago && strings.TrimSpace(span) != "" && strings.Trim(span, "0123456789") != span {
		d, err := parseSpan(span)
		return now.Add(-d), err == nil || strings.ContainsAny(text, " "), err
	}
	for _, layout := range []string{time.RFC3339Nano, "2006-01-02T15:04:05", "2006-01-02T15:04", "2006-01-02 15:04:05", "2006-01-02 15:04", time.DateOnly} {
		if at, err := time.ParseInLocation(layout, text, now.Location()); err == nil {
			return at, true, nil
		}
	}
	if text == "" {
		return at, false, nil
	}
	day, clock, _ := strings.Cut(strings.ToLower(text), " ")
	back := 0
	switch day {
	case "yesterday":
		back = 1
	case "today":
	default:
		clock = text
	}
	start := time.Date(now.Year(), now.Month(), now.Day()-back, 0, 0, 0, 0, now.Location())
	if clock == "" {
		return start, true, nil
	}
	for _, layout := range []string{"15:04", "15:04:05"} {
		if c, err := time.Parse(layout, strings.TrimSpace(clock)); err == nil {
			return time.Date(start.Year(), start.Month(), start.Day(), c.Hour(), c.Minute(), c.Second(), 0, now.Location()), true, nil
		}
	}
	if day == "today" || day == "yesterday" {
		return at, true, fmt.Errorf("%q is not a time of day such as 15:00", clock)
	}
	return at, false, nil
}

// units of a span. A year is 365 days.
var units = map[string]time.Duration{
	"s": time.Second, "sec": time.Second, "second": time.Second,
	"m": time.Minute, "min": time.Minute, "minute": time.Minute,
	"h": time.Hour, "hour": time.Hour,
	"d": 24 * time.Hour, "day": 24 * time.Hour,
	"w": 7 * 24 * time.Hour, "week": 7 * 24 * time.Hour,
	"y": 365 * 24 * time.Hour, "year": 365 * 24 * time.Hour,
}

// parseSpan parses a span such as "1d12h" or "3 days".
func parseSpan(span string) (total time.Duration, err error) {
	rest := strings.ReplaceAll(span, " ", "")
	for rest != "" {
		digits := len(rest) - len(strings.TrimLeft(rest, "0123456789"))
		n, err := strconv.ParseInt(rest[:digits], 10, 64)
		rest = rest[digits:]
		letters := len(rest) - len(strings.TrimLeft(rest, "abcdefghijklmnopqrstuvwxyz"))
		word := rest[:letters]
		rest = rest[letters:]
		unit, known := units[word]
		if !known {
			unit, known = units[strings.TrimSuffix(word, "s")]
		}
		if err != nil || !known || n > int64((math.MaxInt64-total)/unit) {
			return 0, fmt.Errorf("%q is not a span such as 90m, 2h, 1d12h or 3 days", strings.TrimSpace(span))
		}
		total += time.Duration(n) * unit
	}
	return total, nil
}
