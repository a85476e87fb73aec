package story

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/platypus-platform/platypus/agents/internal/testhost"
	"github.com/platypus-platform/platypus/intent"
	"github.com/platypus-platform/platypus/store/consultest"
)

// node is the name of the one host in these stories.
const node = "web1"

// built is the folder of the programs, built once for all stories.
var built = sync.OnceValues(func() (string, error) {
	if dir := os.Getenv("PLATYPUS_BIN"); dir != "" {
		return dir, nil
	}
	dir, err := os.MkdirTemp("", "platypus-bin-")
	if err != nil {
		return "", err
	}
	cmd := exec.Command("go", "build", "-o", dir+"/", "work")
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := cmd.CombinedOutput(); err != nil {
		return "", fmt.Errorf("build the programs: %w: %s", err, out)
	}
	return dir, nil
})

func TestMain(m *testing.M) {
	code := m.Run()
	if dir, err := built(); err == nil && os.Getenv("PLATYPUS_BIN") == "" {
		_ = os.RemoveAll(dir)
	}
	os.Exit(code)
}

// harness is a store, a supervisor and a place for everything on disk.
type harness struct {
	testing.TB
	bin     string
	dir     string // scratch, seen alike inside and outside of a booted systemd
	socket  string // the store's
	store   *process
	runit   *testhost.Runit
	systemd *testhost.Systemd
	netns   string
}

// process is a program under way, with what it said.
type process struct {
	cmd  *exec.Cmd
	said *consultest.Output
	done chan struct{}
}

// newHarness sets up a world with the store (embedded or consul) and the supervisor (runit or systemd) named.
func newHarness(t testing.TB, store, supervisor string) *harness {
	t.Helper()
	bin, err := built()
	if err != nil {
		t.Fatal(err)
	}
	w := &harness{TB: t, bin: bin}
	switch supervisor {
	case "runit":
		w.dir = t.TempDir()
		_ = os.Chmod(w.dir, 0o755)
		w.runit = testhost.NewRunit(t)
	case "systemd":
		w.systemd = testhost.NewSystemd(t)
		w.dir = w.systemd.Shared
	}
	w.socket = filepath.Join(w.dir, "store.sock")
	w.startStore(store)
	return w
}

func (w *harness) startStore(kind string) {
	w.Helper()
	data := filepath.Join(w.dir, "store")
	switch kind {
	case "embedded":
		w.store = w.start("platypus", "store", "--data", data, "--listen", "unix:"+w.socket)
	case "consul":
		consultest.Start(w.TB, consultest.Config{Node: "store", Data: data, Socket: w.socket})
	}
	w.eventually("the store answers", func() error {
		_, err := w.try(http.MethodPut, "probe", "1")
		return err
	})
}

func freePort(t testing.TB) string {
	t.Helper()
	return strconv.Itoa(testhost.FreePort(t))
}

// http talks to the store over its socket, as curl --unix-socket would.
func (w *harness) http() *http.Client {
	dial := func(ctx context.Context, _, _ string) (net.Conn, error) {
		return new(net.Dialer).DialContext(ctx, "unix", w.socket)
	}
	return &http.Client{Transport: &http.Transport{DialContext: dial, DisableKeepAlives: true}, Timeout: time.Minute}
}

// try sends one request about a key and returns the answer.
func (w *harness) try(method, key, value string) (string, error) {
	query := ""
	if method == http.MethodGet {
		query = "?raw"
	}
	request, err := http.NewRequest(method, "http://store/v1/kv/"+key+query, strings.NewReader(value))
	if err != nil {
		return "", err
	}
	response, err := w.http().Do(request)
	if err != nil {
		return "", err
	}
	defer response.Body.Close()
	body, err := io.ReadAll(response.Body)
	if err == nil && response.StatusCode != http.StatusOK {
		err = fmt.Errorf("%s %s: %s: %s", method, key, response.Status, body)
	}
	return string(body), err
}

// put declares intent as plain curl would.
func (w *harness) put(key, value string) {
	w.Helper()
	if _, err := w.try(http.MethodPut, "platypus/intent/"+key, value); err != nil {
		w.Fatal(err)
	}
}

// report reads what an agent says of itself.
func (w *harness) report(agent string) (r intent.Report, err error) {
	body, err := w.try(http.MethodGet, "platypus/status/"+agent+"/"+node, "")
	if err == nil {
		err = json.Unmarshal([]byte(body), &r)
	}
	return r, err
}

// command is a program of ours with the store in its environment. What needs the supervisor's world runs inside it.
func (w *harness) command(name string, args ...string) *exec.Cmd {
	path := filepath.Join(w.bin, name)
	var cmd *exec.Cmd
	switch {
	case w.systemd != nil && name == "setlive":
		inside := filepath.Join(w.dir, name) // /tmp in there is another one
		if _, err := os.Stat(inside); err != nil {
			data, err := os.ReadFile(path)
			if err == nil {
				err = os.WriteFile(inside, data, 0o755)
			}
			if err != nil {
				w.Fatal(err)
			}
		}
		cmd = w.systemd.Command(inside, args...)
	case w.netns != "" && name == "port-authority":
		cmd = exec.Command("ip", append([]string{"netns", "exec", w.netns, path}, args...)...)
	default:
		cmd = exec.Command(path, args...)
	}
	cmd.Env = append(os.Environ(), "CONSUL_HTTP_ADDR=unix://"+w.socket, "NO_COLOR=1")
	cmd.Dir = w.dir
	return cmd
}

// flags are those that this world asks of an agent.
func (w *harness) flags(agent string) []string {
	args := []string{"--node", node, "--state-dir", filepath.Join(w.dir, "state", agent)}
	switch {
	case agent == "preparer":
		args = append(args, "--repo", "file://"+filepath.Join(w.dir, "repo"))
	case agent == "setlive" && w.runit != nil:
		args = append(args, "--runit", w.runit.Services, "--runit-stage", w.runit.Stage)
	case agent == "setlive":
		args = append(args, "--systemd")
	}
	return args
}

// agent starts an agent that runs for ever.
func (w *harness) agent(name string, more ...string) *process {
	w.Helper()
	return w.start(name, append(w.flags(name), more...)...)
}

// once runs an agent once and returns its exit code and what it said.
func (w *harness) once(name string, more ...string) (int, string) {
	w.Helper()
	cmd := w.command(name, append(w.flags(name), append(more, "--once")...)...)
	out, err := cmd.CombinedOutput()
	if _, exited := err.(*exec.ExitError); err != nil && !exited {
		w.Fatal(err)
	}
	return cmd.ProcessState.ExitCode(), string(out)
}

func (w *harness) start(name string, args ...string) *process {
	w.Helper()
	return w.run(w.command(name, args...))
}

// run starts a program that ends, at the latest, with the test.
func (w *harness) run(cmd *exec.Cmd) *process {
	w.Helper()
	p := &process{cmd: cmd, said: &consultest.Output{}, done: make(chan struct{})}
	cmd.Stdout, cmd.Stderr = p.said, p.said
	if err := cmd.Start(); err != nil {
		w.Fatal(err)
	}
	go func() { _ = cmd.Wait(); close(p.done) }()
	w.Cleanup(func() {
		p.end(syscall.SIGTERM)
		if w.Failed() {
			w.Logf("%s said:\n%s", filepath.Base(cmd.Path)+" "+strings.Join(cmd.Args[1:], " "), p.said)
		}
	})
	return p
}

// pid is the program's process id; nsenter stands in front of one that runs inside a systemd.
func (p *process) pid() int {
	pid := p.cmd.Process.Pid
	if filepath.Base(p.cmd.Path) != "nsenter" {
		return pid
	}
	child, _ := os.ReadFile(fmt.Sprintf("/proc/%d/task/%d/children", pid, pid))
	if n, err := strconv.Atoi(strings.TrimSpace(string(child))); err == nil {
		return n
	}
	return pid
}

// end signals the program and waits for it; one that hangs is killed.
func (p *process) end(signal syscall.Signal) {
	select {
	case <-p.done:
		return
	default:
	}
	_ = syscall.Kill(p.pid(), signal)
	select {
	case <-p.done:
	case <-time.After(15 * time.Second):
		_ = syscall.Kill(p.pid(), syscall.SIGKILL)
		<-p.done
	}
}

// platypus runs the CLI and returns its output; want is the exit code.
func (w *harness) platypus(want int, args ...string) string {
	w.Helper()
	cmd := w.command("platypus", args...)
	out, err := cmd.CombinedOutput()
	if code := cmd.ProcessState.ExitCode(); code != want {
		w.Fatalf("platypus %s: exit %d, want %d (%v)\n%s", strings.Join(args, " "), code, want, err, out)
	}
	return string(out)
}

func (w *harness) write(path, content string) {
	w.Helper()
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		w.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(content), 0o755); err != nil {
		w.Fatal(err)
	}
}

// eventually waits until ok returns nil.
func (w *harness) eventually(what string, ok func() error) {
	w.Helper()
	var err error
	for end := time.Now().Add(testhost.HangLimit); time.Now().Before(end); time.Sleep(20 * time.Millisecond) {
		if err = ok(); err == nil {
			return
		}
	}
	w.Fatalf("%s: still not so after %s: %v", what, testhost.HangLimit, err)
}
