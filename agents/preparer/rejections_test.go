package main

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/platypus-platform/platypus/agents/internal/fetch"
	"github.com/platypus-platform/platypus/intent"
)

// requests is how often something was asked for, such as "GET /slug/slug_v1.tar.gz".
func (r *harness) requests(what string) int64 {
	if many, ok := r.asked.Load(what); ok {
		return many.(*atomic.Int64).Load()
	}
	return 0
}

// nudge declares the same with another user_config: new intent, so that everything is tried at once.
func (r *harness) nudge(n int) {
	r.put("clusters/slug/c/config", fmt.Sprintf(`{"versions":{"v1":"active"},"user_config":{"n":%d}}`, n))
}

// TestRejections_BadArtifact_NotFetchedAgain: it is fetched twice, to be sure, and from then on only looked at, also by
// the next process, until it, what vouches for it, or the policy changes.
func TestRejections_BadArtifact_NotFetchedAgain(t *testing.T) {
	r := newHarness(t)
	r.publish("v1")
	path, get, head := filepath.Join(r.dir, "repo/slug/slug_v1.tar.gz"), "GET /slug/slug_v1.tar.gz", "HEAD /slug/slug_v1.tar.gz"
	good, err := os.ReadFile(path)
	r.check(err)
	r.check(os.WriteFile(path, append([]byte("x"), good...), 0o644))
	r.nudge(0)
	cmd, out, ended := r.run()
	var s intent.State
	r.eventually("it is parked", func() bool {
		s = r.state()
		return s.Phase == "failed" && strings.HasPrefix(s.Reason, "v1: digest_mismatch: ") && strings.HasSuffix(s.Reason, reasonParked)
	})
	if s.Attempts < 2 || !s.NextTry.After(time.Now().Add(-time.Minute)) || s.Error == "" {
		t.Errorf("state %+v", s)
	}
	looked := r.requests(head)
	for n := range 5 {
		before := r.requests(head)
		r.nudge(n + 1)
		r.eventually("it is looked at again", func() bool { return r.requests(head) > before })
	}
	r.check(cmd.Process.Signal(syscall.SIGTERM))
	<-ended
	if n := r.requests(get); n != 2 || r.requests(head) < looked+5 {
		t.Errorf("fetched %d times, looked at %d times", n, r.requests(head))
	}
	if n := strings.Count(out.String(), "WARN  [") - strings.Count(out.String(), "repeated "); n != 1 {
		t.Errorf("told %d times: %s", n, out)
	}
	once := func(want int64, args ...string) {
		t.Helper()
		text, err := r.agent(nil, append(args, "--once")...).CombinedOutput()
		if n := r.requests(get); n != want || err == nil {
			t.Errorf("fetched %d times, want %d: %v: %s", n, want, err, text)
		}
	}
	once(2)
	once(3, "--max-size", "1000000") // another policy
	once(4)
	r.check(os.WriteFile(path+".sha256", []byte(strings.Repeat("0", 64)), 0o644)) // something else vouches for it
	once(5)
	once(6)
	once(6)
	r.check(os.WriteFile(filepath.Join(r.dir, "state/verdicts.json"), []byte("rubbish"), 0o600)) // it is only a cache
	once(7)
	once(8)
	once(8)
	if aside, _ := filepath.Glob(filepath.Join(r.dir, "state/verdicts.json.corrupt-*")); len(aside) != 1 {
		t.Errorf("set aside: %v", aside)
	}
	r.publish("v1") // mended
	if text, err := r.agent(nil, "--once").CombinedOutput(); err != nil || fmt.Sprint(r.requireUsable("mended")) != "[slug_v1]" {
		t.Errorf("%v: %s", err, text)
	}
	if data, err := os.ReadFile(filepath.Join(r.dir, "state/verdicts.json")); err != nil || !strings.HasSuffix(string(data), "\n{}") {
		t.Errorf("a mended artifact is still judged: %s, %v", data, err)
	}
}

// TestRejections_BadLocalArtifact_NotReadAgain: a local one is not read through every minute either, and is known by
// its times.
func TestRejections_BadLocalArtifact_NotReadAgain(t *testing.T) {
	r := newHarness(t)
	r.publish("v1")
	path := filepath.Join(r.dir, "repo/slug/slug_v1.tar.gz")
	good, err := os.ReadFile(path)
	r.check(err)
	bad := append([]byte("XX"), good[2:]...)
	r.check(os.Remove(path + ".sha256"))
	try := func(content []byte, at time.Time) string {
		t.Helper()
		r.check(os.WriteFile(path, content, 0o644))
		r.check(os.Chtimes(path, at, at))
		out, _ := r.agent(nil, "--once", "--repo", filepath.Join(r.dir, "repo")).CombinedOutput()
		return string(out)
	}
	r.nudge(0)
	then := time.Now().Add(-time.Hour)
	// The third time it is whole, and cannot be told from what it was except by reading it.
	for _, content := range [][]byte{bad, bad, good} {
		if out := try(content, then); !strings.Contains(out, "slug/v1: bad_archive: neither gzip nor zstd") {
			t.Errorf("it says %s", out)
		}
	}
	if s := r.state(); !strings.Contains(s.Reason, reasonParked) {
		t.Errorf("state %+v", s)
	}
	if out := try(good, time.Now()); fmt.Sprint(r.requireUsable("mended")) != "[slug_v1]" {
		t.Error(out)
	}
}

// TestRejections_Record goes through what makes one stand, and what does not.
func TestRejections_Record(t *testing.T) {
	bad := &stepError{Reason: BadArchive, Err: errors.New("no")}
	about := rejection{Address: "a", Is: fetch.Identity{ETag: `"1"`, Size: 3}, Against: "x"}
	stands := func(v *rejections, now rejection) bool { return v.known("s", now) != nil }
	content := func(sum string) rejection { now := about; now.SHA256 = sum; return now }

	v := openRejections(t.TempDir(), false)
	if v.record("s", content("1"), bad); stands(v, about) {
		t.Error("it stands after one fetch, which may have been damaged on the way")
	}
	if v.record("s", content("2"), bad); stands(v, about) {
		t.Error("it stands although each time something else came")
	}
	if v.record("s", content("2"), bad); !stands(v, about) {
		t.Error("it does not stand although the same came twice")
	}
	for _, other := range []rejection{
		{Address: "b", Is: about.Is, Against: "x"}, {Address: "a", Is: fetch.Identity{ETag: `"2"`, Size: 3}, Against: "x"},
		{Address: "a", Is: fetch.Identity{ETag: `"1"`, Size: 4}, Against: "x"}, {Address: "a", Is: about.Is, Against: "y"},
	} {
		if stands(v, other) {
			t.Errorf("it stands for %+v", other)
		}
	}
	for sum := range 10 {
		v.record("t", content(fmt.Sprint(sum)), bad)
	}
	if v.known("t", about) == nil {
		t.Error("what comes differently each time is fetched for ever")
	}
	for _, passing := range []Reason{NoSpace, Reason(fetch.Unreachable), NotPermitted, Failure, InTheWay} {
		for range 10 {
			v.record("u", about, &stepError{Reason: passing, Err: errors.New("no")})
		}
		if v.known("u", about) != nil {
			t.Errorf("%s stands, though it passes", passing)
		}
	}
	// Without anything to know it by, it is fetched once an hour, whatever was done to the clock meanwhile.
	blind := rejection{Address: "a", Is: fetch.Identity{Size: -1}}
	for _, age := range []time.Duration{0, 59 * time.Minute, 61 * time.Minute, 10 * 365 * 24 * time.Hour, -10 * 365 * 24 * time.Hour} {
		v.record("w", blind, bad)
		v.record("w", blind, bad)
		old := v.bySubject["w"]
		old.At = time.Now().Add(-age)
		v.bySubject["w"] = old
		if got := v.known("w", blind) != nil; got != (age >= 0 && age < time.Hour) {
			t.Errorf("%s later it stands: %v", age, got)
		}
	}
	for n := range 2 * maxRejections {
		v.record(fmt.Sprint("many", n), about, bad)
	}
	if len(v.bySubject) != maxRejections || v.known("s", about) != nil {
		t.Errorf("%d are remembered", len(v.bySubject))
	}
	if again := openRejections(filepath.Dir(v.path), false); len(again.bySubject) != maxRejections {
		t.Errorf("%d are remembered by the next process", len(again.bySubject))
	}
}
