package agent

import (
	"bytes"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

func TestNobodyElseMakesLinesInTheLog(t *testing.T) {
	var b bytes.Buffer
	log, err := newLog(&b, "debug", "text")
	if err != nil {
		t.Fatal(err)
	}
	log.Warn("slug\n", "first\nFATAL [2014] fake\r\x1b[2J")
	log.WithField("path", "a\nb").WithField("age", 3).Debug("fields")
	lines := strings.Split(strings.TrimSuffix(b.String(), "\n"), "\n")
	if len(lines) != 2 || strings.ContainsAny(b.String(), "\r\x1b") {
		t.Fatalf("log %q", b.String())
	}
	if !strings.HasPrefix(lines[0], "WARN  [") || !strings.HasSuffix(lines[1], "] fields age=3 path=a b") {
		t.Errorf("lines %q", lines)
	}
}

func TestLevels(t *testing.T) {
	var b bytes.Buffer
	log, err := newLog(&b, "warn", "text")
	if err != nil {
		t.Fatal(err)
	}
	log.Info("", "not this")
	log.Warn("", "this")
	if got := b.String(); strings.Contains(got, "not this") || !strings.Contains(got, "] this") {
		t.Errorf("log %q", got)
	}
	for _, bad := range []struct{ level, format string }{{"loud", "text"}, {"info", "xml"}} {
		var usage usageError
		if _, err := newLog(&b, bad.level, bad.format); !errors.As(err, &usage) {
			t.Errorf("%v: %v", bad, err)
		}
	}
}

// TestWatchdogBitesALoopThatIsStuck and no other.
func TestWatchdogBitesALoopThatIsStuck(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := &pulse{start: time.Now(), stuck: stuck}
		time.Sleep(24 * time.Hour)
		if !p.turns() {
			t.Error("a loop that waits for its first intent is called stuck")
		}
		p.beat()
		time.Sleep(stuck - time.Second)
		if !p.turns() {
			t.Error("too early")
		}
		time.Sleep(2 * time.Second)
		if p.turns() {
			t.Error("a stuck loop turns")
		}
		p.beat()
		if !p.turns() {
			t.Error("it turns again")
		}
	})
}

func TestUpstreamForgetsWhatIsNoLongerFollowed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var b bytes.Buffer
		log, _ := newLog(&b, "info", "text")
		u := newUpstream(log)
		u.heard("a/", errors.New("denied"))
		time.Sleep(time.Minute)
		u.heard("b/", nil)
		if down, err := u.down(); err == nil || down != time.Minute {
			t.Errorf("down for %s: %v", down, err)
		}
		u.heard("a/", nil)
		if down, err := u.down(); err != nil || down != 0 {
			t.Errorf("down for %s: %v", down, err)
		}
		if n := strings.Count(b.String(), "\n"); n != 2 || !strings.Contains(b.String(), "answers again after 1m0s") {
			t.Errorf("log %q", b.String())
		}
	})
}

func TestListenTakesOnlyASocketsPlace(t *testing.T) {
	path := filepath.Join(t.TempDir(), "precious")
	if err := os.WriteFile(path, []byte("x"), 0o600); err != nil {
		t.Fatal(err)
	}
	log, _ := newLog(&bytes.Buffer{}, "info", "text")
	a := &Agent{Name: "toy", Log: log}
	if err := newMeters(a, newUpstream(log)).serve(t.Context(), "unix:"+path); err == nil {
		t.Error("it listens in place of a file")
	}
	if _, err := os.Stat(path); err != nil {
		t.Errorf("the file is gone: %v", err)
	}
}
