package main

import (
	"bytes"
	"errors"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/creack/pty"

	"github.com/platypus-platform/platypus/store/embedtest"
)

// terminalSession is a program whose controlling terminal is a pty of the test's own.
type terminalSession struct {
	*testing.T
	tty    *os.File
	ended  chan error
	mu     sync.Mutex
	screen bytes.Buffer
}

// onTerminal starts a command on a terminal that is columns wide. Streams that the command has set stay what they are.
func onTerminal(t *testing.T, cmd *exec.Cmd, columns uint16) *terminalSession {
	t.Helper()
	tty, err := pty.StartWithSize(cmd, &pty.Winsize{Rows: 50, Cols: columns})
	if err != nil {
		t.Fatal(err)
	}
	s := &terminalSession{T: t, tty: tty, ended: make(chan error, 1)}
	t.Cleanup(func() { _ = cmd.Process.Kill(); _ = tty.Close() })
	read := make(chan struct{})
	go func() {
		defer close(read)
		_, _ = io.Copy(s, tty) // ends with EIO when nobody has the terminal open any more
	}()
	go func() {
		err := cmd.Wait()
		<-read
		s.ended <- err
	}()
	return s
}

// Write implements io.Writer: what the terminal shows.
func (s *terminalSession) Write(p []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.screen.Write(p)
}

func (s *terminalSession) seen() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return strings.ReplaceAll(s.screen.String(), "\r\n", "\n")
}

func (s *terminalSession) waitFor(text string) {
	s.Helper()
	eventually(s.T, "the terminal shows "+text, func() bool { return strings.Contains(s.seen(), text) })
}

func (s *terminalSession) send(keys string) {
	s.Helper()
	if _, err := s.tty.WriteString(keys); err != nil {
		s.Fatal(err)
	}
}

// code is the exit code, once the program has ended.
func (s *terminalSession) code(within time.Duration) int {
	s.Helper()
	select {
	case err := <-s.ended:
		var ended *exec.ExitError
		if errors.As(err, &ended) {
			return ended.ExitCode()
		}
		if err != nil {
			s.Fatal(err)
		}
		return 0
	case <-time.After(within):
		s.Fatalf("it hangs; the terminal shows:\n%s", s.seen())
		return -1
	}
}

// TestQuestion_OnTerminal_AskedOnlyWhereItIsSeen asks only where somebody sees the question and can answer it.
func TestQuestion_OnTerminal_AskedOnlyWhereItIsSeen(t *testing.T) {
	t.Parallel()
	address := embedtest.Start(t)
	bin, dir := binaries(t), t.TempDir()
	write(t, filepath.Join(dir, "a.json"), `{"nodes/n1/a": {"cluster": "p"}, "clusters/a/p/config": {"versions": {"1": "active"}},
		"clusters/a/p/deploy_config": {"basedir": "/srv/a"}}`)
	write(t, filepath.Join(dir, "gone.json"), `{"nodes/n1/a": null}`)
	command := func(line string) *exec.Cmd {
		cmd := exec.Command("sh", "-c", line)
		cmd.Dir = dir
		cmd.Env = append(os.Environ(), "CONSUL_HTTP_ADDR="+address, "NO_COLOR=1", "PATH="+bin+":"+os.Getenv("PATH"))
		return cmd
	}
	for _, c := range []struct{ name, line, wait, answer, shows string }{
		{"refused", "platypus apply a.json", "write 3 changes? [y/N] ", "n\n", "not agreed: nothing was written"},
		{"not an answer", "platypus apply a.json", "write 3 changes? [y/N] ", "platypus log\n", `"platypus log" is neither y nor n: nothing was written`},
		{"interrupted", "platypus apply a.json", "write 3 changes? [y/N] ", "\x03", "interrupted: nothing was written"},
		{"talk in a pipe", "platypus apply a.json 2>&1 | cat", "", "", "written: 3 changes"},
		{"nothing to do", "platypus apply a.json 2>&1 | cat", "", "", "nothing would change"},
		{"removal, talk in a pipe", "platypus apply gone.json 2>&1 | cat", "", "", "nobody is here to answer: give --yes"},
		{"removal, data in a pipe", "platypus apply gone.json | cat", "1 removal among them? [y/N] ", "n\n", "not agreed"},
		{"removal", "platypus apply gone.json", "1 removal among them? [y/N] ", "yes\n", "written: 1 change"},
	} {
		t.Run(c.name, func(t *testing.T) {
			s := onTerminal(t, command(c.line), 80)
			if c.answer != "" {
				s.waitFor(c.wait)
				s.send(c.answer)
			}
			s.code(hang)
			if !strings.Contains(s.seen(), c.shows) {
				t.Errorf("%s lacks %q:\n%s", c.line, c.shows, s.seen())
			}
			if c.answer == "" && strings.Contains(s.seen(), "[y/N]") {
				t.Errorf("%s asks where nobody sees it:\n%s", c.line, s.seen())
			}
		})
	}
}

// TestDemo_OnTerminal_RunsToTheEnd runs the first command that a newcomer types, on a terminal, and ends it as they do.
func TestDemo_OnTerminal_RunsToTheEnd(t *testing.T) {
	for _, needed := range []string{"runsvdir", "curl", "go", "unshare", "ip"} {
		if _, err := exec.LookPath(needed); err != nil {
			t.Skipf("needs %s", needed)
		}
	}
	if os.Geteuid() != 0 {
		t.Skip("needs root, for a network of its own: the demo's ports are fixed")
	}
	t.Parallel()
	bin := binaries(t)
	script, err := filepath.Abs("../../scripts/demo.sh")
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command("unshare", "--net", "sh", "-c", "ip link set lo up; exec bash "+script)
	cmd.Env = append(os.Environ(), "PLATYPUS_BIN="+bin, "TMPDIR="+t.TempDir())
	s := onTerminal(t, cmd, 80)
	s.waitFor("Ctrl-C here ends everything")
	s.send("\x03")
	if code := s.code(hang); code != 130 {
		t.Errorf("the demo ends with %d:\n%s", code, s.seen())
	}
	if strings.Contains(s.seen(), "[y/N]") {
		t.Errorf("the demo asks:\n%s", s.seen())
	}
}
