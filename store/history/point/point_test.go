package point

import (
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"
)

func TestParse(t *testing.T) {
	zone := time.FixedZone("CET", 3600)
	now := time.Date(2026, 11, 21, 15, 4, 5, 0, zone)
	for text, want := range map[string]string{
		"0": "seq 0", "7": "seq 7", "000000000042": "seq 42", "18446744073709551615": "seq 18446744073709551615",
		"18446744073709551616": "error: larger than any",
		"head":                 "head head", "NOW": "head head", "latest": "head head",
		"index:1042": "index index:1042", "index:x": "error: not a number",
		"2026-11-21T14:00:00Z":        "time 2026-11-21T14:00:00Z",
		"2026-11-21T15:00:00.5+01:00": "time 2026-11-21T14:00:00.5Z",
		"2026-11-20 15:04":            "time 2026-11-20T14:04:00Z",
		"2026-11-20":                  "time 2026-11-19T23:00:00Z",
		"2h ago":                      "time 2026-11-21T12:04:05Z", "2hago": "time 2026-11-21T12:04:05Z",
		"1d12h ago": "time 2026-11-20T02:04:05Z", "3 days ago": "time 2026-11-18T14:04:05Z",
		"1 week 1 minute ago": "time 2026-11-14T14:03:05Z", "90 sec ago": "time 2026-11-21T14:02:35Z",
		"yesterday": "time 2026-11-19T23:00:00Z", "yesterday 15:00": "time 2026-11-20T14:00:00Z",
		"today 9:30": "time 2026-11-21T08:30:00Z", "15:00": "time 2026-11-21T14:00:00Z", "Yesterday 15:00:01": "time 2026-11-20T14:00:01Z",
		"16:00": "error: in the future", "2030-01-01": "error: in the future",
		"yesterday noon": "error: not a time of day", "2 moons ago": "error: not a span", "99999999999 years ago": "error: not a span",
		"golden": "tag golden", "v1.2": "tag v1.2", "2h": "tag 2h", "chicago": "tag chicago", "ago": "tag ago",
		"": "error: unknown point", "a b": "error: unknown point", "../x": "error: unknown point", "-1": "error: unknown point", "1.5 ago": "error: span",
	} {
		p, err := Parse(text, now)
		if expected, isError := strings.CutPrefix(want, "error: "); isError {
			if err == nil || !strings.Contains(err.Error(), expected) {
				t.Errorf("%q: %v, %v, want an error with %q", text, p, err, expected)
			}
			continue
		}
		if got := string(p.Kind) + " " + p.String(); err != nil || got != want {
			t.Errorf("%q: %s, %v, want %s", text, got, err, want)
		}
	}
}

// TestParse_StringOfPoint_IsTheSamePoint: String is parsed as the same point, and no tag is parsed as something else.
func TestParse_StringOfPoint_IsTheSamePoint(t *testing.T) {
	now := time.Date(2026, 11, 21, 15, 4, 5, 0, time.UTC)
	rapid.Check(t, func(t *rapid.T) {
		text := rapid.OneOf(rapid.StringMatching(`[0-9a-z:. -]{1,12}`), rapid.StringMatching(`[0-9]{1,3} ?(s|min|h|days) ago`),
			rapid.StringMatching(`(today|yesterday|head|index:[0-9]{1,4})( 1[0-9]:[0-5][0-9])?`)).Draw(t, "text")
		p, err := Parse(text, now)
		if err != nil {
			return
		}
		if again, err := Parse(p.String(), now); err != nil || again.String() != p.String() || again.Kind != p.Kind {
			t.Fatalf("%q is %v, read again %v, %v", text, p, again, err)
		}
		if tag, err := TagName(text); err == nil && (p.Kind != Tag || p.Tag != tag) {
			t.Fatalf("%q may be a tag, and is read as %v", text, p)
		}
	})
}

func TestTagName(t *testing.T) {
	for _, text := range []string{"head", "42", "2026-11-21", "2hago", "today", "a/b", ""} {
		if name, err := TagName(text); err == nil {
			t.Errorf("%q is a tag: %s", text, name)
		}
	}
}

func TestSplit(t *testing.T) {
	for text, want := range map[string]string{"a/b@1": "a/b 1 true", "a/b": "a/b  false", "a@2h ago": "a 2h ago true", "@1": " 1 true"} {
		key, at, pointed := Split(text)
		if got := key + " " + at + " " + map[bool]string{true: "true", false: "false"}[pointed]; got != want {
			t.Errorf("%q: %q, want %q", text, got, want)
		}
	}
}
