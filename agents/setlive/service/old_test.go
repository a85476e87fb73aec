package service

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

func TestWhichRunScriptsOfOthersRunTheApp(t *testing.T) {
	spec := Spec{App: "slug", Basedir: "/srv/sl.ug"}
	for run, want := range map[string]bool{
		"#!/bin/sh\nexec chpst -P -- /srv/sl.ug/current/bin/launch\n":                                  true,
		"#!/usr/bin/ruby\nsleep 2\nexec \"/usr/bin/chpst\", \"-P\", \"/srv/sl.ug/current/bin/launch\"": true,
		"#!/bin/sh\nexec '/srv/sl.ug/current/bin/launch' --flag\n":                                     true,
		"#!/bin/sh\nexec /srv/slxug/current/bin/launch\n":                                              false,
		"#!/bin/sh\nexec /srv/sl.ug/current/bin/launch-old\n":                                          false,
		"#!/bin/sh\nexec /old/srv/sl.ug/current/bin/launch\n":                                          false,
		"#!/bin/sh\nexec /srv/sl.ug/current/bin/launch/web\n":                                          false,
		"": false,
	} {
		if got := spec.Launches([]byte(run)); got != want {
			t.Errorf("%q: %v", run, got)
		}
	}
}

// TestANoteOfAnOlderFormIsUnderstood: or a new setlive would restart what runs.
func TestANoteOfAnOlderFormIsUnderstood(t *testing.T) {
	home, me := Home(t.TempDir()), os.Getpid()
	started, _, err := StartOf(me)
	boot, errBoot := bootID()
	if err != nil || errBoot != nil {
		t.Fatal(err, errBoot)
	}
	for _, c := range []struct {
		line string
		want Process
	}{
		{"%d %d v1 0123456789abcdef 3\n", Process{me, started, "v1", "0123456789abcdef", ""}},
		{"%d %d - 0123456789abcdef 3 fedcba9876543210 " + boot + " 1 2\n", Process{me, started, "", "0123456789abcdef", "fedcba9876543210"}},
		{"%d %d v1 0123456789abcdef 3 fedcba9876543210 of-another-boot 1 2\n", Process{PID: me, Started: started}},
		{"%d %d v1 0123456789abcdef x\n", Process{PID: me, Started: started}},
	} {
		if err := os.WriteFile(filepath.Join(string(home), noteName), fmt.Appendf(nil, c.line, me, started), 0o644); err != nil {
			t.Fatal(err)
		}
		if got, err := home.Process(me); err != nil || got != c.want {
			t.Errorf("%q is %+v, %v", c.line, got, err)
		}
	}
}

// TestAFolderThatCannotBeReadIsNobodysGuess: what is not seen is not absent, or its app would be started a second time.
func TestAFolderThatCannotBeReadIsNobodysGuess(t *testing.T) {
	parent := t.TempDir()
	for _, dir := range []string{"theirs", filepath.Join("ours", markerName)} { // a folder in the marker's place cannot be read
		if err := os.MkdirAll(filepath.Join(parent, dir), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.WriteFile(filepath.Join(parent, "file"), nil, 0o644); err != nil {
		t.Fatal(err)
	}
	homes, err := Owners(parent)
	if err != nil || len(homes) != 1 {
		t.Fatalf("found %v, %v", homes, err)
	}
	if state, err := homes[0].State(); !errors.Is(err, ErrUnseen) || !strings.Contains(err.Error(), filepath.Join(parent, "ours", markerName)) {
		t.Errorf("%+v, %v", state, err)
	}
	if _, err := homes[0].Write(Spec{App: "ours", Basedir: "/srv/ours"}); !errors.Is(err, ErrUnseen) {
		t.Errorf("it is written: %v", err)
	}
	if err := os.Remove(filepath.Join(parent, "ours", markerName)); err != nil {
		t.Fatal(err)
	}
	if homes, err := Owners(parent); err != nil || len(homes) != 0 {
		t.Errorf("found %v, %v", homes, err)
	}
}

// TestAClockThatWasSetTellsNothing: neither one that was put back nor one that was put forward, before, after or between
// the start of a process and the change of a link, makes a link look older than a process that it is not older than.
func TestAClockThatWasSetTellsNothing(t *testing.T) {
	begin := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	hour := time.Hour
	// What happens at the start of the process plus when, in true time, and what the clock says then is off by so much.
	type event struct{ when, off time.Duration }
	for name, c := range map[string]struct {
		link, start, now event
		want             bool
	}{
		"nobody set it, and the link is older":         {event{-hour, 0}, event{0, 0}, event{hour, 0}, true},
		"nobody set it, and the link is just newer":    {event{time.Millisecond, 0}, event{0, 0}, event{hour, 0}, false},
		"nobody set it, and the link is just older":    {event{-time.Millisecond, 0}, event{0, 0}, event{hour, 0}, true},
		"nobody set it, and the link is newer":         {event{hour / 2, 0}, event{0, 0}, event{hour, 0}, false},
		"wrong all the time, and the link is older":    {event{-hour, -9 * hour}, event{0, -9 * hour}, event{hour, -9 * hour}, true},
		"wrong all the time, and the link is newer":    {event{hour / 2, -9 * hour}, event{0, -9 * hour}, event{hour, -9 * hour}, false},
		"put back before the link was changed":         {event{hour / 2, -9 * hour}, event{0, 0}, event{hour, -9 * hour}, false},
		"put back after the link was changed":          {event{hour / 2, 0}, event{0, 0}, event{hour, -9 * hour}, false},
		"put forward before the link was changed":      {event{hour / 2, 9 * hour}, event{0, 0}, event{hour, 9 * hour}, false},
		"put forward after the link was changed":       {event{hour / 2, 0}, event{0, 0}, event{hour, 9 * hour}, false},
		"put back, and the link is older":              {event{-hour, 0}, event{0, 0}, event{hour, -9 * hour}, false},
		"put forward, and the link is older":           {event{-hour, 0}, event{0, 0}, event{hour, 9 * hour}, false},
		"put forward between the link and the process": {event{-hour, 0}, event{0, 9 * hour}, event{hour, 9 * hour}, true},
		"put back between the link and the process":    {event{-hour, 0}, event{0, -9 * hour}, event{hour, -9 * hour}, false},
	} {
		wall := func(e event) time.Time { return begin.Add(e.when + e.off) }
		if got := ledSince(wall(c.link), wall(c.start), wall(c.now), c.now.when); got != c.want {
			t.Errorf("%s: %v", name, got)
		}
	}
}
