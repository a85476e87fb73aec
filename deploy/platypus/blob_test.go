package main

import (
	"bytes"
	"crypto/sha256"
	"crypto/tls"
	"encoding/hex"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/platypus-platform/platypus/store/certtest"
)

// random writes a file of that size that nothing makes smaller, and returns its path and digest.
func random(t testing.TB, size int64) (path, digest string) {
	t.Helper()
	path = filepath.Join(t.TempDir(), "big")
	f, err := os.Create(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	sum := sha256.New()
	if _, err := io.CopyN(io.MultiWriter(f, sum), rand.NewChaCha8([32]byte{byte(size)}), size); err != nil {
		t.Fatal(err)
	}
	return path, hex.EncodeToString(sum.Sum(nil))
}

func digestOf(t testing.TB, path string) string {
	t.Helper()
	f, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	digest, _, err := hashOf(f)
	if err != nil {
		t.Fatal(err)
	}
	return digest
}

// TestBlobOverABadLink puts and gets 32 MiB over a link that is cut again and again, and 64 MiB of memory are enough.
func TestBlobOverABadLink(t *testing.T) {
	t.Parallel()
	l := newLinkFixture(t)
	path, digest := random(t, 32<<20)
	me := flags(l.Authority, "me", l.CA())
	up := newLinkCutter(t, l.at, 6<<20)
	out, errs, peak, err := l.run("lab", append([]string{"blob", "put", path, "--to", "https://" + up.address, "--copies", "1"}, me...)...)
	if err != nil || strings.TrimSpace(out) != "sha256:"+digest {
		t.Fatalf("put: %v: %s%s", err, out, errs)
	}
	if up.cuts.Load() < 5 { // no connection lives for all of it: only who goes on gets to the end
		t.Errorf("put: %d cuts, %d bytes went over the link", up.cuts.Load(), up.passed.Load())
	}
	t.Logf("put: %d cuts, %d bytes over the link, %.0f MiB of memory", up.cuts.Load(), up.passed.Load(), peak)
	down := newLinkCutter(t, l.at, 6<<20)
	l.held(digest, "https://"+down.address)
	back := filepath.Join(t.TempDir(), "back")
	out, errs, more, err := l.run("elsewhere", append([]string{"blob", "get", "sha256:" + digest, back}, me...)...)
	if err != nil {
		t.Fatalf("get: %v: %s%s", err, out, errs)
	}
	if digestOf(t, back) != digest || down.cuts.Load() < 5 {
		t.Errorf("get: %d cuts, %d bytes went over the link", down.cuts.Load(), down.passed.Load())
	}
	if left, _ := filepath.Glob(filepath.Join(filepath.Dir(back), ".*")); len(left) > 0 {
		t.Errorf("left behind: %v", left)
	}
	agent, worker := l.peaks()
	t.Logf("get: %d cuts, %.0f MiB of memory; agent %.0f, worker %.0f", down.cuts.Load(), more, agent, worker)
	if most := max(peak, more, agent, worker); most > 64 {
		t.Errorf("%.0f MiB of memory", most)
	}
	// What is there is not sent again.
	again := newLinkCutter(t, l.at, 1<<20)
	if out, errs, _, err := l.run("lab", append([]string{"blob", "put", path, "--to", "https://" + again.address}, me...)...); err != nil || again.cuts.Load() > 0 {
		t.Errorf("put again: %v: %s%s, %d cuts", err, out, errs, again.cuts.Load())
	}
}

// TestBlobGetLater: a get that is killed is gone on with by the same command.
func TestBlobGetLater(t *testing.T) {
	t.Parallel()
	l := newLinkFixture(t)
	content := bytes.Repeat([]byte("0123456789abcdef"), 1<<16)
	sum := sha256.Sum256(content)
	digest := hex.EncodeToString(sum[:])
	var from []int64
	stuck := make(chan struct{})
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		at, _ := strconv.ParseInt(strings.TrimSuffix(strings.TrimPrefix(r.Header.Get("Range"), "bytes="), "-"), 10, 64)
		if from = append(from, at); len(from) > 1 {
			http.ServeContent(w, r, "", time.Time{}, bytes.NewReader(content))
			return
		}
		w.Header().Set("Content-Length", strconv.Itoa(len(content)))
		_, _ = w.Write(content[:500_000])
		w.(http.Flusher).Flush()
		<-stuck
	}))
	defer server.Close()
	defer close(stuck)
	l.held(digest, strings.TrimPrefix(server.URL, "http://"))
	out := filepath.Join(t.TempDir(), "out")
	cmd := exec.Command(filepath.Join(l.bin, "platypus"), "blob", "get", digest, out)
	cmd.Env = append(l.env, "PLATYPUS_ROOT=elsewhere")
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	eventually(t, "half of it is here", func() bool {
		parts, _ := filepath.Glob(filepath.Join(filepath.Dir(out), ".out.*.part"))
		at, err := os.Stat(strings.Join(parts, ""))
		return err == nil && at.Size() == 500_000
	})
	_ = cmd.Process.Kill()
	_ = cmd.Wait()
	if _, errs, _, err := l.run("elsewhere", "blob", "get", digest, out); err != nil || digestOf(t, out) != digest {
		t.Fatal(err, errs)
	}
	if len(from) != 2 || from[1] != 500_000 {
		t.Errorf("asked from %v", from)
	}
}

// TestBlobLiars: nodes that send something else, at once or only until they break off, delay a get and do not spoil it.
func TestBlobLiars(t *testing.T) {
	t.Parallel()
	l := newLinkFixture(t)
	good := bytes.Repeat([]byte("good"), 1<<18)
	sum := sha256.Sum256(good)
	digest := hex.EncodeToString(sum[:])
	serve := func(answer func(w http.ResponseWriter, r *http.Request)) string {
		server := httptest.NewServer(http.HandlerFunc(answer))
		t.Cleanup(server.Close)
		return strings.TrimPrefix(server.URL, "http://")
	}
	lies := serve(func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write(bytes.Repeat([]byte("evil"), 1<<18)) })
	breaks := serve(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Length", strconv.Itoa(len(good)))
		_, _ = w.Write(bytes.Repeat([]byte("evil"), 1<<10))
	})
	endless := serve(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Range", "bytes 0-1/2")
		w.WriteHeader(http.StatusPartialContent)
		_, _ = w.Write([]byte("evil"))
	})
	honest := serve(func(w http.ResponseWriter, r *http.Request) {
		http.ServeContent(w, r, "", time.Time{}, bytes.NewReader(good))
	})
	out := filepath.Join(t.TempDir(), "out")
	l.held(digest, breaks, lies, endless, breaks, honest)
	if _, errs, _, err := l.run("elsewhere", "blob", "get", digest, out); err != nil || digestOf(t, out) != digest {
		t.Fatal(err, errs)
	}
	if err := os.Remove(out); err != nil {
		t.Fatal(err)
	}
	l.held(digest, lies, lies, lies, lies, lies)
	if _, errs, _, err := l.run("elsewhere", "blob", "get", digest, out); err == nil || !strings.Contains(errs, "h0: it sent something else") {
		t.Errorf("only liars: %v %s", err, errs)
	}
	if left, _ := os.ReadDir(filepath.Dir(out)); len(left) > 0 {
		t.Errorf("left behind: %v", left)
	}
}

// TestBlobPutRefused: who has no certificate of the node's authority is told what to do next, and nothing that is cut
// short or is something else is kept.
func TestBlobPutRefused(t *testing.T) {
	t.Parallel()
	l, stranger := newLinkFixture(t), certtest.New(t)
	stranger.Issue("me", here, time.Hour)
	l.Issue("old", here, -time.Minute)
	path, digest := random(t, 1<<20)
	to := "https://" + l.at
	for want, flags := range map[string][]string{
		"answers only who has a certificate: add --tls-cert FILE --tls-key FILE --tls-ca FILE": {"--to", to},
		"--tls-ca is given without --tls-cert --tls-key":                                       {"--to", to, "--tls-ca", l.CA()},
		"over https:// with a certificate, and nowhere else":                                   append([]string{"--to", "http://" + l.plain}, flags(l.Authority, "me", l.CA())...),
		"speaks plain: name the address of its --serve-tls":                                    append([]string{"--to", "https://" + l.plain}, flags(l.Authority, "me", l.CA())...),
		"me.crt (tls: unknown certificate authority)":                                          append([]string{"--to", to}, flags(stranger, "me", l.CA())...),
		"ca.crt does not vouch for there and now":                                              append([]string{"--to", to}, flags(l.Authority, "me", stranger.CA())...),
		"old.crt expired on": append([]string{"--to", to}, flags(l.Authority, "old", l.CA())...),
	} {
		if out, errs, _, err := l.run("lab", append([]string{"blob", "put", path}, flags...)...); err == nil || !strings.Contains(errs, want) {
			t.Errorf("%v: want %q, got %v: %s%s", flags, want, err, out, errs)
		}
	}
	put := func(config *tls.Config, target, part string, body io.Reader) (int, string) {
		request, err := http.NewRequest(http.MethodPut, target, body)
		if err != nil {
			t.Fatal(err)
		}
		request.Header.Set("Content-Range", part)
		if body != nil {
			request.ContentLength = 1 << 20
			request.Header.Set("Expect", "100-continue") // a refusal is heard before the body is sent
		}
		transport := &http.Transport{TLSClientConfig: config, DisableKeepAlives: true, ExpectContinueTimeout: hang}
		response, err := (&http.Client{Timeout: hang, Transport: transport}).Do(request)
		if err != nil {
			return 0, err.Error()
		}
		defer response.Body.Close()
		said, _ := io.ReadAll(response.Body)
		return response.StatusCode, string(said)
	}
	content, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	whole, mine := fmt.Sprintf("bytes 0-%d/%d", 1<<20-1, 1<<20), l.Client("me")
	if status, said := put(nil, "http://"+l.plain+"/blob/"+digest, whole, bytes.NewReader(content)); status != 403 || !strings.Contains(said, "--to https://") {
		t.Errorf("in plain: %d %s", status, said)
	}
	if status, said := put(l.Client(""), to+"/blob/"+digest, whole, bytes.NewReader(content)); status != 0 {
		t.Errorf("without a certificate: %d %s", status, said)
	}
	other := slices.Clone(content)
	other[7] ^= 1
	if status, said := put(mine, to+"/blob/"+digest, whole, bytes.NewReader(other)); status != 422 || !strings.Contains(said, "its digest differs") {
		t.Errorf("something else: %d %s", status, said)
	}
	ask := fmt.Sprintf("bytes */%d", 1<<20)
	eventually(t, "what came of it stays for the rest", func() bool { // as far as it got through before the link was cut
		if status, said := put(mine, to+"/blob/"+digest, whole, io.MultiReader(bytes.NewReader(other[:1<<19]))); status != 0 && status != 400 && status != 409 {
			t.Errorf("cut short: %d %s", status, said)
		}
		status, said := put(mine, to+"/blob/"+digest, ask, nil)
		return status == http.StatusAccepted && regexp.MustCompile(`"have":[1-9]`).MatchString(said)
	})
	for _, part := range []string{"bytes 100-1048575/1048576", "bytes 5-3/10", "", "bytes 0-5/10"} {
		if status, said := put(mine, to+"/blob/"+digest, part, bytes.NewReader(content)); status != 409 && status != 400 {
			t.Errorf("part %q: %d %s", part, status, said)
		}
	}
	if status, said := put(mine, to+"/blob/"+strings.Repeat("z", 64), whole, bytes.NewReader(content)); status != 400 {
		t.Errorf("no digest: %d %s", status, said)
	}
	// The half that is there is of something else, and the program finds its way all the same.
	if out, errs, _, err := l.run("lab", append([]string{"blob", "put", path, "--to", to}, flags(l.Authority, "me", l.CA())...)...); err != nil {
		t.Errorf("%v: %s%s", err, out, errs)
	}
}

// BenchmarkBlob puts and gets 1 GiB over TLS, beside sha256sum of the same file, and once more over a link that is cut
// every 200 MiB. It counts the memory of the program, the agent and its worker at its highest.
func BenchmarkBlob(b *testing.B) {
	const size = 1 << 30
	l := newLinkFixture(b)
	me := flags(l.Authority, "me", l.CA())
	var peak float64
	var sums, puts, gets []float64
	for b.Loop() {
		path, digest := random(b, size)
		timed := func(root string, args ...string) float64 {
			began := time.Now()
			_, errs, most, err := l.run(root, append(args, me...)...)
			if err != nil {
				b.Fatal(err, errs)
			}
			peak = max(peak, most)
			return time.Since(began).Seconds()
		}
		for range 3 {
			began := time.Now()
			if out, err := exec.Command("sha256sum", path).Output(); err != nil || !strings.HasPrefix(string(out), digest) {
				b.Fatal(err, string(out))
			}
			sums = append(sums, time.Since(began).Seconds())
		}
		puts = append(puts, timed("lab", "blob", "put", path, "--to", "https://"+l.at, "--copies", "1"))
		l.held(digest, "https://"+l.at)
		back := filepath.Join(filepath.Dir(path), "back")
		gets = append(gets, timed("elsewhere", "blob", "get", digest, back))
		cut := newLinkCutter(b, l.at, 200<<20)
		l.held(digest, "https://"+cut.address)
		b.ReportMetric(timed("elsewhere", "blob", "get", digest, back), "s/get-cut")
		if digestOf(b, back) != digest || cut.cuts.Load() < 5 {
			b.Fatalf("%d cuts", cut.cuts.Load())
		}
		f, err := os.OpenFile(path, os.O_WRONLY|os.O_APPEND, 0)
		if err == nil {
			_, err = f.WriteString("another blob")
		}
		if err != nil {
			b.Fatal(err)
		}
		f.Close()
		cut = newLinkCutter(b, l.at, 200<<20)
		b.ReportMetric(timed("lab", "blob", "put", path, "--to", "https://"+cut.address, "--copies", "1"), "s/put-cut")
		if cut.cuts.Load() < 5 {
			b.Fatalf("%d cuts", cut.cuts.Load())
		}
	}
	agent, worker := l.peaks()
	mid := func(v []float64) float64 { return slices.Sorted(slices.Values(v))[len(v)/2] }
	b.ReportMetric(max(peak, agent, worker), "MiB/peak-rss")
	b.ReportMetric(size/(1<<20)/mid(puts), "MiB/s")
	b.ReportMetric(size/(1<<20)/mid(gets), "get-MiB/s")
	b.ReportMetric(mid(puts)/mid(sums), "put/sha256sum")
	b.ReportMetric(mid(gets)/mid(sums), "get/sha256sum")
	b.ReportMetric(0, "ns/op")
}
