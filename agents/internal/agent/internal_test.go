package agent

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/platypus-platform/platypus/agents/converge"
	"github.com/platypus-platform/platypus/intent"
	"github.com/platypus-platform/platypus/store"
	"github.com/platypus-platform/platypus/store/embedtest"
)

func TestLog_ControlCharacters_StayOnOneLine(t *testing.T) {
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

func TestLog_Levels(t *testing.T) {
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

func TestWatchdog_StuckLoop_IsUnhealthy(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := &watchdog{start: time.Now(), timeout: watchdogTimeout}
		time.Sleep(24 * time.Hour)
		if !p.healthy() {
			t.Error("a loop that waits for its first intent is called stuck")
		}
		p.beat()
		time.Sleep(watchdogTimeout - time.Second)
		if !p.healthy() {
			t.Error("too early")
		}
		time.Sleep(2 * time.Second)
		if p.healthy() {
			t.Error("a stuck loop turns")
		}
		p.beat()
		if !p.healthy() {
			t.Error("it turns again")
		}
	})
}

func TestStoreHealth_PrefixNoLongerFollowed_Forgotten(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var b bytes.Buffer
		log, _ := newLog(&b, "info", "text")
		u := newStoreHealth(log)
		u.record("a/", errors.New("denied"))
		time.Sleep(time.Minute)
		u.record("b/", nil)
		if down, err := u.down(); err == nil || down != time.Minute {
			t.Errorf("down for %s: %v", down, err)
		}
		u.record("a/", nil)
		if down, err := u.down(); err != nil || down != 0 {
			t.Errorf("down for %s: %v", down, err)
		}
		if n := strings.Count(b.String(), "\n"); n != 2 || !strings.Contains(b.String(), "answers again after 1m0s") {
			t.Errorf("log %q", b.String())
		}
	})
}

// TestReadyz_StoreDownForAMinute_Fails: a change of leader is shorter than that, and must not take an agent out of
// anybody's rotation; what comes back is ready at once.
func TestReadyz_StoreDownForAMinute_Fails(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		log, _ := newLog(&bytes.Buffer{}, "info", "text")
		u := newStoreHealth(log)
		m := newMetrics(&Agent{Name: "toy", Log: log}, u)
		ready := func(want int) {
			t.Helper()
			w := httptest.NewRecorder()
			m.pages().ServeHTTP(w, httptest.NewRequest(http.MethodGet, "/readyz", nil))
			if w.Code != want {
				t.Errorf("%d %s, want %d", w.Code, strings.TrimSpace(w.Body.String()), want)
			}
		}
		ready(http.StatusServiceUnavailable) // before the first pass
		m.pass(converge.Pass{})
		ready(http.StatusOK)
		u.record("a/", errors.New("no leader"))
		time.Sleep(time.Minute)
		ready(http.StatusOK)
		u.record("b/", errors.New("no leader")) // the outage is that of the first
		time.Sleep(2 * time.Second)
		ready(http.StatusServiceUnavailable)
		u.record("b/", nil)
		ready(http.StatusServiceUnavailable)
		u.record("a/", nil)
		ready(http.StatusOK)
		u.record("a/", errors.New("no leader")) // a new outage starts from zero
		time.Sleep(time.Second)
		ready(http.StatusOK)
		m.pass(converge.Pass{Err: errors.New("blind")})
		ready(http.StatusServiceUnavailable)
	})
}

// TestIdentity_ChangesOnlyWhenAccepted: what is remembered is believed only when it is whole, and changes only when
// nothing is left to mistake.
func TestIdentity_ChangesOnlyWhenAccepted(t *testing.T) {
	log, _ := newLog(&bytes.Buffer{}, "info", "text")
	tree, _ := intent.ParseRoot(intent.DefaultRoot)
	other, _ := intent.ParseRoot("test")
	dir := t.TempDir()
	of := func(node intent.Name, tree intent.Tree) *identity {
		return newIdentity(&Agent{Name: "toy", Node: node, Tree: tree, StateDir: dir, Log: log})
	}
	is := of("web1", tree)
	if why := is.changeReason(); why != "" {
		t.Errorf("a host that nothing is known of has moved: %s", why)
	}
	is.acceptCurrent(0)
	if why := of("web1", tree).changeReason(); why != "" {
		t.Error(why)
	}
	for _, moved := range []*identity{of("web2", tree), of("web1", other)} {
		if why := moved.changeReason(); !strings.Contains(why, "web1") {
			t.Errorf("not held: %q", why)
		}
	}
	path := filepath.Join(dir, "identity.json")
	good, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	for i := range good {
		bad := bytes.Clone(good)
		bad[i] ^= 1
		if err := os.WriteFile(path, bad, 0o600); err != nil {
			t.Fatal(err)
		}
		if why := of("web1", tree).changeReason(); why != "" {
			t.Fatalf("byte %d: a damaged memory is believed: %s", i, why)
		}
	}
	is = of("web2", tree)
	is.acceptCurrent(0)
	if why := of("web1", tree).changeReason(); !strings.Contains(why, "web2") {
		t.Errorf("not held: %q", why)
	}
}

// TestConfirmed_AfterAnHour_Expires: they are of a person's clock, and count by this host's for an hour. A clock that
// was set, here or there, makes one count for less, never for something else or for ever.
func TestConfirmed_AfterAnHour_Expires(t *testing.T) {
	s, err := store.Open(store.Config{Address: embedtest.Start(t)})
	if err != nil {
		t.Fatal(err)
	}
	tree, _ := intent.ParseRoot(intent.DefaultRoot)
	a := &Agent{Name: "toy", Node: "web1", Tree: tree, Store: s}
	if ok, err := a.Confirmed(t.Context(), []string{"a"}); ok || err != nil {
		t.Errorf("confirmed by nobody: %v, %v", ok, err)
	}
	const year = 365 * 24 * time.Hour
	for _, c := range []struct {
		ahead   time.Duration
		removes string
		want    bool
	}{
		{0, `["a","b"]`, true}, {0, `["a"]`, false}, {0, `[]`, false}, {-59 * time.Minute, `["a","b","c"]`, true}, {59 * time.Minute, `["a","b"]`, true},
		{-61 * time.Minute, `["a","b"]`, false}, {61 * time.Minute, `["a","b"]`, false}, {-10 * year, `["a","b"]`, false}, {10 * year, `["a","b"]`, false},
	} {
		value := fmt.Sprintf(`{"removes":%s,"at":%q}`, c.removes, time.Now().Add(c.ahead).Format(time.RFC3339))
		if err := s.Put(t.Context(), tree.Confirm("web1", "toy"), []byte(value)); err != nil {
			t.Fatal(err)
		}
		if ok, err := a.Confirmed(t.Context(), []string{"a", "b"}); ok != c.want || err != nil {
			t.Errorf("%s: %v, %v", value, ok, err)
		}
	}
	if err := s.Put(t.Context(), tree.Confirm("web1", "toy"), []byte("{")); err != nil {
		t.Fatal(err)
	}
	if ok, err := a.Confirmed(t.Context(), []string{"a"}); ok || err == nil {
		t.Errorf("rubbish confirms: %v, %v", ok, err)
	}
}

func TestListen_PathIsNotASocket_Refused(t *testing.T) {
	path := filepath.Join(t.TempDir(), "precious")
	if err := os.WriteFile(path, []byte("x"), 0o600); err != nil {
		t.Fatal(err)
	}
	log, _ := newLog(&bytes.Buffer{}, "info", "text")
	a := &Agent{Name: "toy", Log: log}
	if err := newMetrics(a, newStoreHealth(log)).serve(t.Context(), "unix:"+path); err == nil {
		t.Error("it listens in place of a file")
	}
	if _, err := os.Stat(path); err != nil {
		t.Errorf("the file is gone: %v", err)
	}
}

// stalled is a writer that blocks until it is released.
type stalled struct {
	goOn chan struct{}
	mu   sync.Mutex
	got  bytes.Buffer
}

func (s *stalled) Write(p []byte) (int, error) {
	<-s.goOn
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.got.Write(p)
}

// The count comes in one line, after all queued lines, once there is a reader again.
func TestLogQueue_Full_CountsDroppedLines(t *testing.T) {
	out := &stalled{goOn: make(chan struct{})}
	log, err := newLog(io.Discard, "info", "text")
	if err != nil {
		t.Fatal(err)
	}
	log.setQueuedOutput(out)
	const lines = 30_000 // of 60 bytes and more: some 2 MB
	for i := range lines {
		log.Info("slug", fmt.Sprintf("line %05d", i))
	}
	log.flush() // ends, though nobody reads
	close(out.goOn)
	log.flush()
	out.mu.Lock()
	got := strings.Split(strings.TrimSuffix(out.got.String(), "\n"), "\n")
	out.mu.Unlock()
	dropped := 0
	last := got[len(got)-1]
	if _, err := fmt.Sscanf(last[strings.Index(last, "] ")+2:], "%d lines of this log were dropped", &dropped); err != nil {
		t.Fatalf("the last line is %q: %v", last, err)
	}
	if len(got)-1+dropped != lines || dropped == 0 || !strings.HasPrefix(last, "WARN  [") {
		t.Errorf("%d lines are there and %d dropped, of %d", len(got)-1, dropped, lines)
	}
	for i, line := range got[:len(got)-1] {
		if !strings.HasSuffix(line, fmt.Sprintf("line %05d", i)) {
			t.Fatalf("line %d is %q", i, line)
		}
	}
}
