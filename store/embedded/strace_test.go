package embedded_test

import (
	"bufio"
	"bytes"
	"encoding/hex"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
)

// traced are the calls that change files, and write, which also answers clients.
const traced = "trace=openat,mkdirat,renameat,pwrite64,write,ftruncate,fsync,fdatasync"

// underTrace starts a store whose system calls are written to a file. inject is a strace rule for calls that fail, or
// empty.
func underTrace(t *testing.T, data, trace, inject string) (*process, error) {
	t.Helper()
	if _, err := exec.LookPath("strace"); err != nil {
		t.Skip("needs strace")
	}
	if out, err := exec.Command("strace", "-o", os.DevNull, "true").CombinedOutput(); err != nil {
		t.Skipf("strace does not work here: %v: %s", err, out)
	}
	line := []string{"strace", "-f", "-qq", "-y", "-xx", "-s", "4000000", "-e", "signal=none", "-e", traced, "-o", trace}
	if inject != "" {
		line = append(line, "-e", "inject="+inject)
	}
	return tryLaunch(data, "127.0.0.1:0", line...)
}

// killTraced kills the store below strace, found through the lock file, and waits until strace has written everything.
func (p *process) killTraced(t *testing.T, data string) {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(data, "lock"))
	if err != nil {
		t.Fatal(err)
	}
	pid, err := strconv.Atoi(strings.TrimSpace(string(text)))
	if err != nil {
		t.Fatal(err)
	}
	p.once.Do(func() {
		store, err := os.FindProcess(pid)
		if err == nil {
			err = store.Kill()
		}
		if err != nil {
			t.Error(err)
			_ = p.cmd.Process.Kill()
		}
		_ = p.cmd.Wait()
	})
}

// tracedCall is one line of a trace: the start of a call, its end, or both.
type tracedCall struct {
	thread, name, args string
	begins, ends       bool
	worked             bool
}

// readTrace calls visit for each line, in order. The arguments are present at both ends of a call.
func readTrace(r io.Reader, visit func(tracedCall) error) error {
	lines := bufio.NewReaderSize(r, 1<<20)
	open := map[string]tracedCall{}
	for {
		line, err := lines.ReadString('\n')
		if err == io.EOF {
			return nil
		}
		if err != nil {
			return err
		}
		c, ok := parseCall(strings.TrimSuffix(line, "\n"), open)
		if !ok {
			continue
		}
		if err := visit(c); err != nil {
			return err
		}
	}
}

func parseCall(line string, open map[string]tracedCall) (c tracedCall, ok bool) {
	thread, rest, _ := strings.Cut(line, " ")
	rest = strings.TrimLeft(rest, " ")
	if strings.HasPrefix(rest, "+++") || strings.HasPrefix(rest, "---") {
		return c, false
	}
	if begun, unfinished := strings.CutSuffix(rest, " <unfinished ...>"); unfinished {
		c = tracedCall{thread: thread, begins: true}
		c.name, c.args, _ = strings.Cut(begun, "(")
		open[thread] = c
		return c, true
	}
	if _, resumed, found := strings.Cut(rest, " resumed>"); found && strings.HasPrefix(rest, "<... ") {
		c = open[thread]
		c.begins, c.args = false, c.args+resumed
	} else {
		c = tracedCall{thread: thread, begins: true}
		c.name, c.args, _ = strings.Cut(rest, "(")
	}
	at := strings.LastIndex(c.args, " = ")
	if at < 0 {
		return c, false // killed within it
	}
	c.ends, c.worked = true, !strings.HasPrefix(c.args[at:], " = -1")
	c.args = strings.TrimSuffix(strings.TrimRight(c.args[:at], " "), ")")
	return c, true
}

// arg returns the n-th argument: the path of a file descriptor, the bytes of a string, or other text.
func (c tracedCall) arg(n int) string {
	parts := strings.SplitN(c.args, ", ", n+2)
	if n >= len(parts) {
		return ""
	}
	text := parts[n]
	if _, path, ok := strings.Cut(text, "<"); ok {
		text = strings.TrimSuffix(path, ">")
	}
	text = strings.Trim(text, `"`)
	if !strings.HasPrefix(text, `\x`) {
		return text
	}
	decoded, err := hex.DecodeString(strings.ReplaceAll(text, `\x`, ""))
	if err != nil {
		panic(fmt.Sprintf("%s: argument %d: %v", c.name, n, err))
	}
	return string(decoded)
}

// replay applies a call to a simDisk.
func (d *simDisk) replay(c tracedCall, offsets map[string]int) {
	switch {
	case c.begins && strings.HasSuffix(c.name, "sync"):
		d.beginFlush(c.thread, c.arg(0))
		if !c.ends {
			return
		}
		fallthrough
	case c.ends && strings.HasSuffix(c.name, "sync"):
		d.endFlush(c.thread, c.worked)
	case !c.ends || !c.worked:
	case c.name == "mkdirat":
		d.create(c.arg(1))
	case c.name == "renameat":
		d.rename(c.arg(1), c.arg(3))
	case c.name == "openat" && strings.Contains(c.args, "O_CREAT"):
		d.create(c.arg(1))
		if strings.Contains(c.args, "O_TRUNC") {
			d.truncate(c.arg(1), 0)
			offsets[c.arg(1)] = 0
		}
	case d.names[c.arg(0)] == nil:
	case c.name == "ftruncate":
		size, _ := strconv.Atoi(c.arg(1))
		d.truncate(c.arg(0), size)
	case c.name == "pwrite64":
		at, _ := strconv.Atoi(c.args[strings.LastIndex(c.args, " ")+1:])
		d.write(c.arg(0), at, []byte(c.arg(1)))
	case c.name == "write":
		data := c.arg(1)
		d.write(c.arg(0), offsets[c.arg(0)], []byte(data))
		offsets[c.arg(0)] += len(data)
	}
}

// answers returns the data that a call starts to send to a client over a socket.
func (c tracedCall) answers() (socket, text string) {
	if c.name != "write" || !c.begins || !strings.HasPrefix(c.arg(0), "socket:") {
		return "", ""
	}
	if text = c.arg(1); !bytes.HasPrefix([]byte(text), []byte("HTTP/1.1 ")) {
		return "", ""
	}
	return c.arg(0), text
}
