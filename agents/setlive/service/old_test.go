package service

import (
	"fmt"
	"os"
	"path/filepath"
	"testing"
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
	started, _ := StartOf(me)
	for _, c := range []struct {
		line string
		want Process
	}{
		{"%d %d v1 0123456789abcdef 3\n", Process{me, started, "v1", "0123456789abcdef", ""}},
		{"%d %d - 0123456789abcdef 3 fedcba9876543210 " + bootID() + " 1 2\n", Process{me, started, "", "0123456789abcdef", "fedcba9876543210"}},
		{"%d %d v1 0123456789abcdef 3 fedcba9876543210 of-another-boot 1 2\n", Process{PID: me, Started: started}},
		{"%d %d v1 0123456789abcdef x\n", Process{PID: me, Started: started}},
	} {
		if err := os.WriteFile(filepath.Join(string(home), noteName), fmt.Appendf(nil, c.line, me, started), 0o644); err != nil {
			t.Fatal(err)
		}
		if got := home.Process(me); got != c.want {
			t.Errorf("%q is %+v", c.line, got)
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
	if homes, err := Owners(parent); err == nil {
		t.Errorf("found %v", homes)
	}
	if err := os.Remove(filepath.Join(parent, "ours", markerName)); err != nil {
		t.Fatal(err)
	}
	if homes, err := Owners(parent); err != nil || len(homes) != 0 {
		t.Errorf("found %v, %v", homes, err)
	}
}
