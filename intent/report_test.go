package intent

import (
	"errors"
	"strings"
	"testing"
	"time"
)

func TestReportKeepsTheTimesOfWhatDidNotChange(t *testing.T) {
	begin := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	at := func(d time.Duration) time.Time { return begin.Add(d) }
	make := func(converged bool, phase, want, reason string) Report {
		return Report{Converged: converged, Subjects: map[string]State{"slug": {Phase: phase, Want: want, Reason: reason}}}
	}
	first := make(true, "converged", "v1", "").Follow(Report{}, at(0))
	for name, test := range map[string]struct {
		next       Report
		report, of time.Time
	}{
		"the same":      {make(true, "converged", "v1", ""), at(0), at(0)},
		"other words":   {make(true, "converged", "v1", "still"), at(0), at(0)},
		"another wish":  {make(true, "converged", "v2", ""), at(0), at(time.Hour)},
		"another phase": {make(false, "failed", "v1", ""), at(time.Hour), at(time.Hour)},
	} {
		got := test.next.Follow(first, at(time.Hour))
		if !got.Since.Equal(test.report) || !got.Subjects["slug"].Since.Equal(test.of) {
			t.Errorf("%s: since %s, slug since %s", name, got.Since, got.Subjects["slug"].Since)
		}
		if !test.next.Since.IsZero() || !test.next.Subjects["slug"].Since.IsZero() {
			t.Errorf("%s: the report itself was changed", name)
		}
	}
}

func TestConfirmationCovers(t *testing.T) {
	now := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	c := Confirmation{Removes: []string{"a", "b"}, At: now}
	for _, test := range []struct {
		removes []string
		at      time.Time
		want    bool
	}{
		{[]string{"a", "b"}, now, true},
		{[]string{"b"}, now.Add(time.Hour), true},
		{[]string{"a", "b", "c"}, now, false},
		{[]string{"a"}, now.Add(time.Hour + 1), false},
		{[]string{"a"}, now.Add(-2 * time.Hour), false}, // from a clock that is far ahead
	} {
		if got := c.Covers(test.removes, test.at, time.Hour); got != test.want {
			t.Errorf("%v at %s: %v", test.removes, test.at, got)
		}
	}
	if (Confirmation{}).Covers([]string{"a"}, now, time.Hour) {
		t.Error("an empty confirmation covers something")
	}
}

func TestProblemsAsAnError(t *testing.T) {
	wrong := Problem{Key: "k", Pointer: "/a", Line: 2, Col: 3, Text: "wrong"}
	warning := Problem{Key: "k", Text: "odd", Warning: true}
	if err := (Problems{warning}).Err(); err != nil {
		t.Errorf("a warning is an error: %v", err)
	}
	err := (Problems{warning, wrong, wrong}).Err()
	var first Problem
	if !errors.As(err, &first) || first != wrong || !strings.HasPrefix(err.Error(), "k:2:3 /a: wrong (and 1 more)") {
		t.Errorf("error %v", err)
	}
}

func TestLayoutOf2014(t *testing.T) {
	for got, want := range map[string]string{
		ArtifactName("slug", "abc123"):         "slug/slug_abc123",
		Install("/tmp/slug", "slug", "abc123"): "/tmp/slug/installs/slug_abc123",
		Current("/tmp/slug"):                   "/tmp/slug/current",
	} {
		if got != want {
			t.Errorf("%s, want %s", got, want)
		}
	}
}
