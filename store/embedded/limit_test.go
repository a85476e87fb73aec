package embedded_test

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/platypus-platform/platypus/store/embedded"
)

// TestServer_TooManyConnections_Answers429 opens more connections than the store has file descriptors. Those above the
// limit get 429 at once, earlier ones continue, and new ones are admitted once some have closed.
func TestServer_TooManyConnections_Answers429(t *testing.T) {
	p, err := tryLaunch(t.TempDir(), "127.0.0.1:0", "sh", "-c", `ulimit -n 164 && exec "$@"`, "sh")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(p.kill)
	ask := func(conn net.Conn) string {
		_ = conn.SetDeadline(time.Now().Add(hang))
		fmt.Fprint(conn, "PUT /v1/kv/a HTTP/1.1\r\nHost: localhost\r\nContent-Length: 1\r\n\r\n1")
		answer, err := http.ReadResponse(bufio.NewReader(conn), nil)
		if err != nil {
			return err.Error()
		}
		defer answer.Body.Close()
		body, _ := io.ReadAll(answer.Body)
		return fmt.Sprint(answer.StatusCode, " ", string(body))
	}
	dial := func() net.Conn {
		conn, err := net.Dial("tcp", p.addr)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { conn.Close() })
		return conn
	}
	var inside []net.Conn
	for len(inside) < 100 {
		conn := dial()
		if got := ask(conn); got != "200 true" {
			t.Fatalf("connection %d: %s", len(inside), got)
		}
		inside = append(inside, conn)
	}
	for range 200 {
		if got := ask(dial()); !strings.HasPrefix(got, "429 too many connections: this store serves 100") && !strings.Contains(got, "reset") && !strings.Contains(got, "EOF") {
			t.Fatalf("one too many: %s", got)
		}
	}
	if got := ask(inside[50]); got != "200 true" {
		t.Errorf("one that was there before: %s", got)
	}
	for _, conn := range inside[:50] {
		conn.Close()
	}
	until(t, "there is room again", func() bool { return ask(dial()) == "200 true" })
}

// TestServer_SlowClients_AreClosed: clients that send byte by byte or nothing are disconnected and delay no one.
func TestServer_SlowClients_AreClosed(t *testing.T) {
	t.Parallel()
	p := launch(t, t.TempDir(), "127.0.0.1:0")
	ended := make(chan string)
	starts := []string{"GET /v1/kv/a HTTP/1.1\r\nX-A: ", "PUT /v1/kv/a HTTP/1.1\r\nHost: localhost\r\nContent-Length: 100000\r\n\r\n", "PUT /v1/kv/a HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n"}
	for _, start := range starts {
		go func() {
			conn, err := net.Dial("tcp", p.addr)
			if err != nil {
				ended <- err.Error()
				return
			}
			defer conn.Close()
			_, err = io.WriteString(conn, start)
			for err == nil {
				time.Sleep(100 * time.Millisecond)
				_, err = conn.Write([]byte("1"))
			}
			ended <- ""
		}()
	}
	c := client(t)
	for timeout, left := time.After(4*hang), len(starts); left > 0; {
		mustDo(t, c, "PUT", "http://"+p.addr+"/v1/kv/b", "1")
		select {
		case why := <-ended:
			if left--; why != "" {
				t.Error(why)
			}
		case <-time.After(50 * time.Millisecond):
		case <-timeout:
			t.Fatalf("%d slow clients are still there", left)
		}
	}
}

func TestOpen_ReadOnlyDisk_IsNotReportedAsDamage(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("mounts a small disk, which needs root")
	}
	disk := t.TempDir()
	if err := syscall.Mount("tmpfs", disk, "tmpfs", 0, "size=16m"); err != nil {
		t.Skip("mount a small disk:", err)
	}
	t.Cleanup(func() {
		if err := syscall.Unmount(disk, 0); err != nil {
			t.Errorf("unmount: %v", err)
		}
	})
	dir := filepath.Join(disk, "data")
	if err := open(t, dir).Close(); err != nil {
		t.Fatal(err)
	}
	if err := syscall.Mount("tmpfs", disk, "tmpfs", syscall.MS_REMOUNT|syscall.MS_RDONLY, ""); err != nil {
		t.Skip("make it read-only:", err)
	}
	for _, at := range []string{dir, filepath.Join(disk, "new", "data")} {
		if _, err := embedded.Open(at, embedded.Options{}); err == nil || !strings.Contains(err.Error(), "read-only file system") || strings.Contains(err.Error(), "damaged") {
			t.Errorf("%s: %v", at, err)
		}
	}
}

// TestOpen_DamageAnywhere_FailsOrStartsUnharmed damages random places in the files of a killed store. A store that
// starts anyway has all acknowledged data, except possibly the last frame, which looks like one that was being written.
func TestOpen_DamageAnywhere_FailsOrStartsUnharmed(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	c := client(t)
	p := launch(t, dir, "127.0.0.1:0")
	const keys = 150
	for i := range keys {
		mustDo(t, c, "PUT", fmt.Sprintf("http://%s/v1/kv/k/%03d", p.addr, i%100), fmt.Sprint(i, strings.Repeat("v", i*97%9000)))
	}
	_, whole := mustDo(t, c, "GET", "http://"+p.addr+"/v1/kv/?recurse", "")
	p.kill()
	p = launch(t, dir, "127.0.0.1:0") // moves the journals into the data file
	mustDo(t, c, "PUT", "http://"+p.addr+"/v1/kv/last", "1")
	_, all := mustDo(t, c, "GET", "http://"+p.addr+"/v1/kv/?recurse", "")
	p.kill()
	noticed := 0
	rapid.Check(t, func(r *rapid.T) {
		at := copyDir(t, dir)
		defer os.RemoveAll(at)
		file := filepath.Join(at, rapid.SampledFrom([]string{"store.db", "journal.0", "journal.1"}).Draw(r, "file"))
		data, err := os.ReadFile(file)
		if err != nil {
			r.Fatal(err)
		}
		for range rapid.IntRange(1, 3).Draw(r, "places") {
			from := rapid.IntRange(0, len(data)-1).Draw(r, "from")
			for i := from; i < min(len(data), from+rapid.SampledFrom([]int{1, 8, 512, 4096}).Draw(r, "length")); i++ {
				data[i] ^= byte(rapid.IntRange(1, 255).Draw(r, "with"))
			}
		}
		if rapid.IntRange(0, 9).Draw(r, "cut") == 0 {
			data = data[:rapid.IntRange(0, len(data)).Draw(r, "to")]
		}
		if err := os.WriteFile(file, data, 0o600); err != nil {
			r.Fatal(err)
		}
		got, err := contents(at)
		switch {
		case err != nil:
			if noticed++; !strings.Contains(err.Error(), "damaged") {
				r.Fatalf("%v", err)
			}
		case got != all && got != whole:
			r.Fatalf("starts with other data: %.300s", got)
		}
	})
	t.Logf("%d of the damages were noticed, the others harmless", noticed)
}
