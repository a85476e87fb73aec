package embedded_test

import (
	"bytes"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/platypus-platform/platypus/store/embedded"
)

// serve opens a store within the test and returns its URL.
func serve(t *testing.T, dir string) (string, *embedded.Store) {
	t.Helper()
	s := open(t, dir)
	web := httptest.NewServer(s.Handler())
	t.Cleanup(web.Close)
	return web.URL, s
}

func TestOpen_InUseByAnotherProcess_Fails(t *testing.T) {
	dir := t.TempDir()
	first := launch(t, dir, "127.0.0.1:0")
	start := time.Now()
	second, err := tryLaunch(dir, "127.0.0.1:0")
	if err == nil {
		second.kill()
		t.Fatal("two processes share a data directory")
	}
	if want := fmt.Sprintf("data directory in use by process %d:", first.cmd.Process.Pid); !strings.Contains(err.Error(), want) {
		t.Errorf("got %q, want %q", err, want)
	}
	if took := time.Since(start); took > hang {
		t.Errorf("it took %v to say so", took)
	}
	if _, err := embedded.Open(dir, embedded.Options{}); !errors.Is(err, embedded.ErrInUse) {
		t.Errorf("open: %v", err)
	}
}

// TestStore_KilledAndRestarted_KeepsDataAndIndexes checks values, locks, sessions, services and every index.
func TestStore_KilledAndRestarted_KeepsDataAndIndexes(t *testing.T) {
	dir := t.TempDir()
	c := client(t)
	p := launch(t, dir, "127.0.0.1:0")
	url := func(path string) string { return "http://" + p.addr + path }
	_, id := mustDo(t, c, "PUT", url("/v1/session/create"), `{"TTL":"30s","Name":"n"}`)
	id = strings.Split(id, `"`)[3]
	mustDo(t, c, "PUT", url("/v1/kv/l?acquire="+id), "held")
	mustDo(t, c, "PUT", url("/v1/kv/t/a"), "1")
	mustDo(t, c, "PUT", url("/v1/kv/t/b?flags=7"), "1")
	mustDo(t, c, "DELETE", url("/v1/kv/t/a"), "")
	mustDo(t, c, "PUT", url("/v1/kv/u/a"), "1")
	mustDo(t, c, "DELETE", url("/v1/kv/u/?recurse"), "")
	mustDo(t, c, "PUT", url("/v1/agent/service/register"), `{"Name":"web","Check":{"TTL":"60s","Status":"passing"}}`)
	paths := []string{"/v1/kv/l", "/v1/kv/t/?recurse", "/v1/kv/u/?recurse", "/v1/kv/?keys", "/v1/session/list", "/v1/health/service/web",
		"/v1/agent/services", "/v1/kv/none", "/v1/session/info/" + id, "/v1/catalog/services"}
	before := map[string]string{}
	look := func(path string) string {
		code, index, body, err := do(c, "GET", url(path), "")
		return fmt.Sprint(code, " ", index, " ", body, " ", err)
	}
	for _, path := range paths {
		before[path] = look(path)
	}
	p.kill()
	p = launch(t, dir, "127.0.0.1:0")
	for _, path := range paths {
		if after := look(path); after != before[path] {
			t.Errorf("%s\nbefore: %s\nafter:  %s", path, before[path], after)
		}
	}
	other, _ := mustDo(t, c, "GET", url("/v1/kv/l"), "")
	mustDo(t, c, "PUT", url("/v1/session/renew/"+id), "")
	mustDo(t, c, "PUT", url("/v1/kv/new"), "1")
	if index, _ := mustDo(t, c, "GET", url("/v1/kv/new"), ""); index <= other {
		t.Errorf("index %d after %d", index, other)
	}
	mustDo(t, c, "PUT", url("/v1/session/destroy/"+id), "")
	if _, body := mustDo(t, c, "GET", url("/v1/kv/l"), ""); strings.Contains(body, id) {
		t.Errorf("the lock outlives its session: %s", body)
	}
}

// TestOpen_DamagedFile_FailsOrStartsUnharmed flips bytes of the data files and truncates them. Open must fail and leave
// the files unchanged, or return all data.
func TestOpen_DamagedFile_FailsOrStartsUnharmed(t *testing.T) {
	for _, file := range []string{"store.db", "journal.0"} {
		t.Run(file, func(t *testing.T) { damage(t, file) })
	}
}

func damage(t *testing.T, file string) {
	dir := t.TempDir()
	c := client(t)
	p := launch(t, dir, "127.0.0.1:0")
	for i := range 200 {
		mustDo(t, c, "PUT", fmt.Sprintf("http://%s/v1/kv/k/%d", p.addr, i), strings.Repeat("v", 50))
	}
	_, want := mustDo(t, c, "GET", "http://"+p.addr+"/v1/kv/?recurse", "")
	if file == "store.db" {
		p.stop(t) // which flushes the journals to the data file
	} else {
		p.kill()
	}
	path := filepath.Join(dir, file)
	whole, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	broken := 0
	try := func(name string, data []byte) {
		dir := copyDir(t, dir)
		path := filepath.Join(dir, file)
		if err := os.WriteFile(path, data, 0o600); err != nil {
			t.Fatal(err)
		}
		s, err := embedded.Open(dir, embedded.Options{Node: "n1"})
		if err != nil {
			broken++
			if !errors.Is(err, embedded.ErrCorrupt) || !strings.Contains(err.Error(), "restore all files of the directory from one backup") {
				t.Errorf("%s: %v", name, err)
			}
			if now, _ := os.ReadFile(path); !bytes.Equal(now, data) {
				t.Errorf("%s: the file was changed", name)
			}
			return
		}
		defer s.Close()
		w := httptest.NewRecorder()
		s.Handler().ServeHTTP(w, httptest.NewRequest("GET", "/v1/kv/?recurse", nil))
		if w.Body.String() != want {
			t.Errorf("%s: starts with other data: %.200s", name, w.Body)
		}
	}
	used := len(bytes.TrimRight(whole, "\x00"))
	if file != "store.db" {
		used -= 512 // A broken last frame counts as one that was being written, so nobody relies on it.
	}
	for at := 0; at < used; at += 1999 {
		flipped := append([]byte(nil), whole...)
		flipped[at] ^= 0x41
		try(fmt.Sprintf("byte %d flipped", at), flipped)
	}
	for _, size := range []int{1, 100, 4096, 8192, 12288, 16384, 20000, len(whole) / 2} {
		if size < used {
			try(fmt.Sprintf("cut to %d bytes", size), whole[:size])
		}
	}
	if broken == 0 {
		t.Error("no damage was noticed")
	}
	t.Logf("%d of the damages were noticed, the others harmless", broken)
}

// copyDir copies a data directory, so that each damage is applied to the same files.
func copyDir(t *testing.T, dir string) string {
	t.Helper()
	to := t.TempDir()
	if err := os.CopyFS(to, os.DirFS(dir)); err != nil {
		t.Fatal(err)
	}
	return to
}

// TestStore_DiskFull_RejectsWritesAndRecovers: writes fail with a reason, reads continue, and writes succeed again once
// there is space.
func TestStore_DiskFull_RejectsWritesAndRecovers(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("mounts a small disk, which needs root")
	}
	dir := t.TempDir()
	if err := syscall.Mount("tmpfs", dir, "tmpfs", 0, "size=9m"); err != nil {
		t.Skip("mount a small disk:", err)
	}
	t.Cleanup(func() {
		if err := syscall.Unmount(dir, 0); err != nil {
			t.Errorf("unmount: %v", err)
		}
	})
	base, s := serve(t, filepath.Join(dir, "data"))
	c := client(t)
	mustDo(t, c, "PUT", base+"/v1/kv/first", "1")
	ballast := filepath.Join(dir, "ballast")
	if err := os.WriteFile(ballast, make([]byte, 5<<20), 0o600); err != nil {
		t.Fatal(err)
	}
	kept := 0
	var refused string
	for ; kept < 1000 && refused == ""; kept++ {
		code, _, body, err := do(c, "PUT", fmt.Sprintf("%s/v1/kv/fill/%d", base, kept), strings.Repeat("v", 64<<10))
		if err != nil || code != http.StatusOK {
			refused = fmt.Sprint(code, " ", body)
		}
	}
	if !strings.HasPrefix(refused, "500 write to disk:") || !strings.Contains(refused, "no space left on device") {
		t.Fatalf("a full disk: %s", refused)
	}
	kept--
	mustDo(t, c, "GET", base+"/v1/kv/first", "")
	if code, _, _, _ := do(c, "GET", fmt.Sprintf("%s/v1/kv/fill/%d", base, kept), ""); code != http.StatusNotFound {
		t.Errorf("a refused write shows: %d", code)
	}
	if err := os.Remove(ballast); err != nil {
		t.Fatal(err)
	}
	mustDo(t, c, "PUT", base+"/v1/kv/last", "1")
	_, want := mustDo(t, c, "GET", base+"/v1/kv/?recurse", "")
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	again := open(t, filepath.Join(dir, "data"))
	w := httptest.NewRecorder()
	again.Handler().ServeHTTP(w, httptest.NewRequest("GET", "/v1/kv/?recurse", nil))
	if w.Body.String() != want {
		t.Errorf("after a restart: %d bytes, want %d", w.Body.Len(), len(want))
	}
	if err := again.Close(); err != nil {
		t.Error(err)
	}
}

// contents returns all keys of a data directory as JSON.
func contents(dir string) (string, error) {
	s, err := embedded.Open(dir, embedded.Options{Node: "n1"})
	if err != nil {
		return "", err
	}
	w := httptest.NewRecorder()
	s.Handler().ServeHTTP(w, httptest.NewRequest("GET", "/v1/kv/?recurse", nil))
	return w.Body.String(), s.Close()
}
