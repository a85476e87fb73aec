package story

import (
	"bytes"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/creack/pty"

	"github.com/platypus-platform/platypus/agents/internal/testhost"
)

// The pages whose blocks a reader types one after the other, in this order. A block that is fenced with a language is an
// illustration and is not run.
var typedPages = []string{"README.md", "docs/machines.md", "docs/seeds.md", "docs/history.md"}

// blockTimeout is far above what the slowest block takes, which compiles everything.
const blockTimeout = 10 * time.Minute

// block is a fenced block of a page.
type block struct{ page, text string }

func (b block) String() string {
	first, _, _ := strings.Cut(b.text, "\n")
	return b.page + ": " + first
}

func blocksOf(t *testing.T, checkout string) []block {
	t.Helper()
	var all []block
	for _, page := range typedPages {
		data, err := os.ReadFile(filepath.Join(checkout, page))
		if err != nil {
			t.Fatal(err)
		}
		var text []string
		fence := "" // the line that opened the block
		for line := range strings.Lines(string(data)) {
			switch {
			case strings.HasPrefix(line, "```") && fence == "":
				fence, text = strings.TrimSpace(line), nil
			case strings.HasPrefix(line, "```"):
				if body := strings.Join(text, ""); fence == "```" && !isPicture(body) {
					all = append(all, block{page, body})
				}
				fence = ""
			default:
				text = append(text, line)
			}
		}
	}
	return all
}

// isPicture tells blocks that show something from those that a reader types.
func isPicture(body string) bool {
	return strings.Contains(body, "──►") || strings.HasPrefix(body, "make demo") || strings.HasPrefix(body, "intent/ ")
}

// TestReadme_EveryBlock_WorksAsTyped types every block of the README, and of the pages that go on from it, in order on a
// machine of its own: once as a script without a terminal, once pasted into a shell on a terminal of 80 columns.
func TestReadme_EveryBlock_WorksAsTyped(t *testing.T) {
	testhost.NeedRoot(t)
	testhost.NeedTools(t, "unshare", "ip", "curl", "runsvdir", "iptables", "git", "make", "bash")
	checkout := copyCheckout(t)
	blocks := blocksOf(t, checkout)
	if len(blocks) < 10 {
		t.Fatalf("only %d blocks were found", len(blocks))
	}
	t.Run("script", func(t *testing.T) { typeBlocks(t, checkout, blocks, false) })
	t.Run("terminal", func(t *testing.T) { typeBlocks(t, checkout, blocks, true) })
}

// copyCheckout copies the files of this checkout, and no others, to where the blocks may write.
func copyCheckout(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	top, err := exec.Command("git", "rev-parse", "--show-toplevel").Output()
	if err != nil {
		t.Skip("the checkout is not a git repository: ", err)
	}
	cmd := exec.Command("sh", "-c", `git ls-files -z --cached --others --exclude-standard | tar c --null -T - | tar x -C "$1"`, "sh", dir)
	cmd.Dir = strings.TrimSpace(string(top))
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	return dir
}

// machine makes the machine that the blocks are typed on, with the folders, ports and firewall that they name to itself, and
// ends with a shell whose script or terminal is stdin.
const machine = `set -e
ip link set lo up
hostname readme
mount --make-rprivate /
mount --bind "$PWD" /mnt
for dir in /tmp /srv /var /run /etc/service /etc/sv; do mount -t tmpfs tmpfs $dir; done
mkdir -p /var/lib /var/log /var/tmp
cd /mnt
rm -rf my-app public release.json hello.wasm intent.git
export XTABLES_LOCKFILE=/tmp/xtables.lock
runsvdir /etc/service >/dev/null 2>&1 </dev/null &
`

// typeBlocks runs the blocks and reports each line that fails.
func typeBlocks(t *testing.T, checkout string, blocks []block, terminal bool) {
	shell := "exec bash --noprofile --norc"
	if terminal {
		shell += " -i"
	}
	cmd := exec.Command("unshare", "--mount", "--net", "--pid", "--uts", "--fork", "--kill-child", "--mount-proc", "bash", "-c", machine+shell)
	cmd.Dir = checkout
	cmd.Env = append(os.Environ(), "TERM=xterm", "PS1=$ ", "INPUTRC=/dev/null", "HISTFILE=", "CONSUL_HTTP_ADDR", "PLATYPUS_BIN=")
	cmd.Env = without(cmd.Env, "CONSUL_HTTP_ADDR")
	s := &typist{t: t, begun: time.Now()}
	if terminal {
		file, err := pty.StartWithSize(cmd, &pty.Winsize{Rows: 24, Cols: 80})
		if err != nil {
			t.Fatal(err)
		}
		s.in, s.out = file, file
	} else {
		s.pipes(cmd)
	}
	t.Cleanup(func() {
		_ = cmd.Process.Signal(syscall.SIGKILL)
		_ = cmd.Wait()
	})
	go s.read()
	// plan ends with 2 where something is to be done.
	s.send(`trap 'rc=$?; [[ $rc = 2 && $BASH_COMMAND = *"platypus plan"* ]] || echo "LINE-""FAILED $rc: $BASH_COMMAND"' ERR` + "\n")
	for i, b := range blocks {
		s.send(b.text)
		s.send(fmt.Sprintf("echo BLOCK\"\"-%d-DONE\n", i))
		out := s.until(fmt.Sprintf("BLOCK-%d-DONE", i))
		if failed := lineFailed.FindAllString(out, -1); failed != nil {
			t.Fatalf("%s\n%s\n%s", b, strings.Join(failed, "\n"), out)
		}
		if strings.Contains(b.text, "&") {
			time.Sleep(2 * time.Second) // what a reader takes to come to the next block, while what was started comes up
		}
	}
}

var lineFailed = regexp.MustCompile(`LINE-FAILED [0-9]+: .*`)

// without drops a variable of the environment.
func without(env []string, name string) []string {
	var kept []string
	for _, e := range env {
		if key, _, _ := strings.Cut(e, "="); key != name {
			kept = append(kept, e)
		}
	}
	return kept
}

// typist types into a shell and reads what comes.
type typist struct {
	t     *testing.T
	begun time.Time
	in    io.Writer
	out   io.Reader
	mu    sync.Mutex
	said  bytes.Buffer
	seen  int
	ended bool
}

func (s *typist) pipes(cmd *exec.Cmd) {
	in, err := cmd.StdinPipe()
	if err != nil {
		s.t.Fatal(err)
	}
	out, w, err := os.Pipe()
	if err != nil {
		s.t.Fatal(err)
	}
	cmd.Stdout, cmd.Stderr = w, w
	if err := cmd.Start(); err != nil {
		s.t.Fatal(err)
	}
	_ = w.Close()
	s.in, s.out = in, out
}

func (s *typist) read() {
	buf := make([]byte, 1<<16)
	for {
		n, err := s.out.Read(buf)
		s.mu.Lock()
		s.said.Write(buf[:n])
		s.ended = err != nil
		s.mu.Unlock()
		if err != nil {
			return
		}
	}
}

func (s *typist) send(text string) {
	s.t.Helper()
	if _, err := io.WriteString(s.in, text); err != nil {
		s.t.Fatalf("type: %v\n%s", err, s.said.String())
	}
}

// until waits for the mark and returns what came before it since the last one.
func (s *typist) until(mark string) string {
	s.t.Helper()
	for limit := time.Now().Add(blockTimeout); ; time.Sleep(20 * time.Millisecond) {
		s.mu.Lock()
		rest, ended := s.said.String()[s.seen:], s.ended
		s.mu.Unlock()
		if before, _, found := strings.Cut(rest, mark); found {
			s.seen += len(before) + len(mark)
			return before
		}
		if ended || time.Now().After(limit) {
			s.t.Fatalf("the shell did not come to %s (it ended: %t):\n%s", mark, ended, rest)
		}
	}
}
