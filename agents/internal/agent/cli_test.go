package agent_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/testscript"

	"github.com/platypus-platform/platypus/intent"
	"github.com/platypus-platform/platypus/store"
	"github.com/platypus-platform/platypus/store/embedtest"
)

const hang = 60 * time.Second

func TestMain(m *testing.M) {
	testscript.Main(m, map[string]func(){"toy": toyMain, "kv": kvMain})
}

func kv(args []string) error {
	s, err := store.Open(store.Config{})
	if err != nil {
		return err
	}
	key := intent.DefaultRoot + args[1]
	switch args[0] {
	case "put":
		return s.Put(context.Background(), key, []byte(args[2]))
	case "rm":
		return s.Delete(context.Background(), key)
	}
	pair, found, err := s.Get(context.Background(), key, store.Consistent)
	if err == nil && !found {
		err = errors.New("not there")
	}
	fmt.Printf("%s\n", pair.Value)
	return err
}

// TestStories runs the scripts, each with an embedded store of its own.
func TestStories(t *testing.T) {
	testscript.Run(t, testscript.Params{
		Dir:  "testdata",
		Cmds: map[string]func(*testscript.TestScript, bool, []string){"exits": exits},
		Setup: func(e *testscript.Env) error {
			e.Setenv("CONSUL_HTTP_ADDR", embedtest.Start(t))
			e.Setenv("PLATYPUS_NODE", "web1")
			e.Setenv("NOW", time.Now().UTC().Format(time.RFC3339))
			e.Setenv("PLATYPUS_STATE_DIR", filepath.Join(e.WorkDir, "state"))
			return os.Mkdir(filepath.Join(e.WorkDir, "host"), 0o755)
		},
	})
}

// exits is "exits CODE COMMAND [ARG...]".
func exits(ts *testscript.TestScript, _ bool, args []string) {
	code := 0
	var exit *exec.ExitError
	switch err := ts.Exec(args[1], args[2:]...); {
	case errors.As(err, &exit):
		code = exit.ExitCode()
	case err != nil:
		ts.Fatalf("%v", err)
	}
	if fmt.Sprint(code) != args[0] {
		ts.Fatalf("exit code %d, want %s", code, args[0])
	}
}

// harness is a store and a toy agent that runs as a process.
type harness struct {
	t      *testing.T
	server *httptest.Server
	gate   sync.RWMutex
	shut   bool         // the store refuses
	behind http.Handler // the store itself
	store  *store.Store
	tree   intent.Tree
	dir    string
	cmd    *exec.Cmd
	log    strings.Builder
	logs   sync.Mutex
}

func newHarness(t *testing.T) *harness {
	w := &harness{t: t, dir: t.TempDir(), behind: embedtest.Open(t)}
	w.server = embedtest.Serve(t, http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
		w.gate.RLock()
		shut, handler := w.shut, w.behind
		w.gate.RUnlock()
		if shut {
			http.Error(rw, "No cluster leader", http.StatusInternalServerError)
			return
		}
		handler.ServeHTTP(rw, r)
	}))
	var err error
	if w.store, err = store.Open(store.Config{Address: w.server.URL}); err != nil {
		t.Fatal(err)
	}
	w.tree, _ = intent.ParseRoot(intent.DefaultRoot)
	if err := os.Mkdir(w.path("host"), 0o755); err != nil {
		t.Fatal(err)
	}
	return w
}

func (w *harness) path(name string) string { return filepath.Join(w.dir, name) }

func (w *harness) setReachable(yes bool) {
	w.gate.Lock()
	w.shut = !yes
	w.gate.Unlock()
	w.server.CloseClientConnections()
}

func (w *harness) put(key, value string) {
	w.t.Helper()
	if err := w.store.Put(w.t.Context(), key, []byte(value)); err != nil {
		w.t.Fatal(err)
	}
}

func (w *harness) assign(app intent.Name, version string) {
	w.put(w.tree.Config(app, "c"), fmt.Sprintf(`{"versions":{%q:"active"}}`, version))
	w.put(w.tree.DeployConfig(app, "c"), fmt.Sprintf(`{"basedir":"/srv/%s"}`, app))
	w.put(w.tree.Assignment("web1", app), `{"cluster":"c"}`)
}

// start runs the toy agent until the test ends.
func (w *harness) start(args ...string) {
	w.cmd = exec.Command("toy", append([]string{"--node=web1", "--dir=" + w.path("host"), "--state-dir=" + w.path("state"), "--resync=1s"}, args...)...)
	w.cmd.Env = append(os.Environ(), "CONSUL_HTTP_ADDR="+w.server.URL)
	w.cmd.Stderr = w
	if err := w.cmd.Start(); err != nil {
		w.t.Fatal(err)
	}
	cmd := w.cmd
	w.t.Cleanup(func() { _ = cmd.Process.Kill(); _ = cmd.Wait() })
}

// Write collects the log.
func (w *harness) Write(p []byte) (int, error) {
	w.logs.Lock()
	defer w.logs.Unlock()
	return w.log.Write(p)
}

func (w *harness) logText() string { w.logs.Lock(); defer w.logs.Unlock(); return w.log.String() }

// stop ends the toy agent with TERM and returns how long that took.
func (w *harness) stop() time.Duration {
	w.t.Helper()
	begin := time.Now()
	_ = w.cmd.Process.Signal(syscall.SIGTERM)
	if err := w.cmd.Wait(); err != nil {
		w.t.Fatalf("stopped with %v:\n%s", err, w.logText())
	}
	return time.Since(begin)
}

func (w *harness) until(what string, holds func() bool) {
	w.t.Helper()
	for begin := time.Now(); !holds(); time.Sleep(10 * time.Millisecond) {
		if time.Since(begin) > hang {
			w.t.Fatalf("never %s; it said:\n%s", what, w.logText())
		}
	}
}

func (w *harness) has(app, version string) func() bool {
	return func() bool {
		data, _ := os.ReadFile(filepath.Join(w.path("host"), app))
		return string(data) == version
	}
}

func (w *harness) report() (r intent.Report) {
	pair, _, _ := w.store.Get(w.t.Context(), w.tree.Status("toy", "web1"), store.Consistent)
	_ = json.Unmarshal(pair.Value, &r)
	return r
}

func (w *harness) alive() bool {
	_, there, err := w.store.Get(w.t.Context(), w.tree.Alive("web1", "toy"), store.Consistent)
	return there && err == nil
}

var line2014 = regexp.MustCompile(`^(INFO |WARN |FATAL|DEBUG) \[\d{4}-\d\d-\d\d \d\d:\d\d:\d\d\.\d{3}\] .+$`)

// TestAgent_StartToStop follows one agent from its start to its end.
func TestAgent_StartToStop(t *testing.T) {
	w := newHarness(t)
	w.assign("slug", "v1")
	w.put(w.tree.Assignment("web1", "odd"), `{"cluster":7}`)
	w.start("--listen=unix:" + w.path("sock"))
	w.until("slug at v1", w.has("slug", "v1"))
	w.until("alive", w.alive)
	w.until("reported", func() bool { return w.report().Subjects["slug"].Phase == "converged" })
	r := w.report()
	if r.Agent != "toy" || r.Node != "web1" || r.IntentIndex == 0 || r.Converged || r.Subjects["slug"].Have != "v1" {
		t.Errorf("report %+v", r)
	}
	if odd := r.Subjects["odd"]; odd.Phase != "invalid" || !strings.Contains(odd.Reason, "platypus/intent/nodes/web1/odd:1:12 /cluster") {
		t.Errorf("the invalid app is reported as %+v", odd)
	}
	w.assign("slug", "v2")
	w.until("slug at v2", w.has("slug", "v2"))

	page := func(path string) (int, string) {
		dial := func(ctx context.Context, _, _ string) (net.Conn, error) {
			return (&net.Dialer{}).DialContext(ctx, "unix", w.path("sock"))
		}
		client := http.Client{Transport: &http.Transport{DialContext: dial, DisableKeepAlives: true}}
		answer, err := client.Get("http://toy" + path)
		if err != nil {
			t.Fatal(err)
		}
		defer answer.Body.Close()
		body, _ := io.ReadAll(answer.Body)
		return answer.StatusCode, string(body)
	}
	for _, path := range []string{"/healthz", "/readyz"} {
		if code, body := page(path); code != 200 {
			t.Errorf("%s: %d %s", path, code, body)
		}
	}
	_, metrics := page("/metrics")
	for _, name := range []string{"platypus_reconcile_total", "platypus_reconcile_seconds", "platypus_subjects", "platypus_store_up", "platypus_build_info"} {
		if !strings.Contains(metrics, name+`{agent="toy"`) && !strings.Contains(metrics, name+`_bucket{agent="toy"`) {
			t.Errorf("metrics lack %s:\n%s", name, metrics)
		}
	}
	w.until("reported", func() bool { return w.report().Subjects["slug"].Have == "v2" }) // which is when all is said of it
	quiet := w.logText()
	time.Sleep(2500 * time.Millisecond) // more than two passes
	if now := w.logText(); now != quiet {
		t.Errorf("the steady state is not silent: %s", strings.TrimPrefix(now, quiet))
	}
	if took := w.stop(); took > hang {
		t.Errorf("stopped after %s", took)
	}
	if w.alive() {
		t.Error("the alive key outlives the agent")
	}
	for _, line := range strings.Split(strings.TrimSpace(w.logText()), "\n") {
		if !line2014.MatchString(line) {
			t.Errorf("line %q", line)
		}
	}
}

// TestWarnings_Repeated_LoggedOncePerChange: they come with every snapshot, and only news is news.
func TestWarnings_Repeated_LoggedOncePerChange(t *testing.T) {
	w := newHarness(t)
	w.put(w.tree.Config("slug", "c"), `{"versions":{"v1":"active"},"colour":"red"}`)
	w.put(w.tree.DeployConfig("slug", "c"), `{"basedir":"/srv/slug"}`)
	w.put(w.tree.Assignment("web1", "slug"), `{"cluster":"c"}`)
	w.start()
	for i := 2; i < 5; i++ {
		w.put(w.tree.Config("slug", "c"), fmt.Sprintf(`{"versions":{"v%d":"active"},"colour":"red"}`, i))
		w.until("the next version", w.has("slug", fmt.Sprint("v", i)))
	}
	w.stop()
	if n := strings.Count(w.logText(), `unknown member "colour"`); n != 1 {
		t.Errorf("said %d times:\n%s", n, w.logText())
	}
}

// The store goes away, and an agent starts without it.
func TestAgent_StoreDown_UsesCache(t *testing.T) {
	w := newHarness(t)
	w.assign("slug", "v1")
	w.start()
	w.until("slug at v1", w.has("slug", "v1"))
	w.setReachable(false)
	w.until("said", func() bool { return strings.Contains(w.logText(), "everything stays as it is") })
	if err := os.Remove(filepath.Join(w.path("host"), "slug")); err != nil {
		t.Fatal(err)
	}
	w.until("repaired without a store", w.has("slug", "v1"))
	if took := w.stop(); took > hang {
		t.Errorf("stopped after %s", took)
	}
	// Now from the cache: what it names is kept up, and what it does not name stays.
	for _, name := range []string{"stranger"} {
		if err := os.WriteFile(filepath.Join(w.path("host"), name), []byte("v0"), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.Remove(filepath.Join(w.path("host"), "slug")); err != nil {
		t.Fatal(err)
	}
	w.start()
	w.until("kept up from the cache", w.has("slug", "v1"))
	time.Sleep(2 * time.Second)
	if !w.has("stranger", "v0")() {
		t.Error("something is removed without the store's word")
	}
	w.setReachable(true)
	w.until("the stranger gone", func() bool { return !w.has("stranger", "v0")() })
	w.stop()
	// And with neither: nothing is known, and nothing happens.
	w.setReachable(false)
	if err := os.RemoveAll(w.path("state")); err != nil {
		t.Fatal(err)
	}
	w.start()
	time.Sleep(5 * time.Second)
	if !w.has("slug", "v1")() {
		t.Error("an agent that knows nothing removes something")
	}
	w.stop()
}

// The cache is cut at every length, and each of its bytes is changed: it is moved aside, never used.
func TestIntentCache_Damaged_MovedAside(t *testing.T) {
	w := newHarness(t)
	w.assign("slug", "v1")
	w.start()
	w.until("slug at v1", w.has("slug", "v1"))
	path := filepath.Join(w.path("state"), "intent.json")
	w.until("its intent kept", func() bool { _, err := os.Stat(path); return err == nil })
	w.stop()
	good, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	lastGoodIntent(t, path, good)
	if info, err := os.Stat(path); err == nil && info.Mode().Perm() != 0o600 {
		t.Errorf("mode %v", info.Mode())
	}
}

// TestAgent_NotifySocket_ReadyAndWatchdog listens at a real socket.
func TestAgent_NotifySocket_ReadyAndWatchdog(t *testing.T) {
	w := newHarness(t)
	conn, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: w.path("notify"), Net: "unixgram"})
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	t.Setenv("NOTIFY_SOCKET", w.path("notify"))
	t.Setenv("WATCHDOG_USEC", "2000000")
	w.start()
	heard := map[string]int{}
	buffer := make([]byte, 4096)
	hear := func(state string, times int) {
		t.Helper()
		_ = conn.SetReadDeadline(time.Now().Add(hang))
		for heard[state] < times {
			n, err := conn.Read(buffer)
			if err != nil {
				t.Fatalf("no %s: %v; heard %v", state, err, heard)
			}
			heard[string(buffer[:n])]++
		}
	}
	hear("READY=1", 1)
	hear("WATCHDOG=1", 3)
	go func() { _ = w.cmd.Process.Signal(syscall.SIGTERM) }()
	hear("STOPPING=1", 1)
	if heard["READY=1"] != 1 {
		t.Errorf("heard %v", heard)
	}
}

func TestAgent_TERM_FinishesRunningStep(t *testing.T) {
	w := newHarness(t)
	w.assign("slug", "v1")
	w.start("--slow=2s")
	w.until("begun", func() bool { return strings.Contains(w.logText(), "slug: write v1") })
	if took := w.stop(); took > hang || !w.has("slug", "v1")() {
		t.Errorf("stopped after %s, slug is there: %v", took, w.has("slug", "v1")())
	}
	w.assign("slug", "v2")
	w.start("--slow=1h")
	w.until("begun", func() bool { return strings.Contains(w.logText(), "slug: write v2") })
	if took := w.stop(); took > hang {
		t.Errorf("stopped after %s with a step that hangs", took)
	}
}

// TestAgent_HUP_ReloadsToken asks the store which token it is shown.
func TestAgent_HUP_ReloadsToken(t *testing.T) {
	w := newHarness(t)
	var lock sync.Mutex
	tokens := map[string]bool{}
	behind := w.server.Config.Handler
	w.server.Config.Handler = http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
		lock.Lock()
		tokens[r.Header.Get("X-Consul-Token")] = true
		lock.Unlock()
		behind.ServeHTTP(rw, r)
	})
	shown := func(token string) func() bool {
		return func() bool { lock.Lock(); defer lock.Unlock(); return tokens[token] }
	}
	write := func(token string) {
		if err := os.WriteFile(w.path("token"), []byte(token+"\n"), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	write("first-secret")
	w.start("--token-file=" + w.path("token"))
	w.until("shown the first", shown("first-secret"))
	write("second-secret")
	w.until("listening to signals", w.alive)
	_ = w.cmd.Process.Signal(syscall.SIGHUP)
	w.until("reloaded", func() bool { return strings.Contains(w.logText(), "reloaded") })
	w.assign("slug", "v1")
	w.until("shown the second", shown("second-secret"))
	w.stop()
	if strings.Contains(w.logText(), "secret") {
		t.Errorf("a token is in the log:\n%s", w.logText())
	}
}

// TestAgent_TokenDenied_ReloadsToken: who rotates tokens need not know which agents to tell.
func TestAgent_TokenDenied_ReloadsToken(t *testing.T) {
	w := newHarness(t)
	behind := w.server.Config.Handler
	w.server.Config.Handler = http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
		if r.Header.Get("X-Consul-Token") == "expired" {
			http.Error(rw, "ACL not found", http.StatusForbidden)
			return
		}
		behind.ServeHTTP(rw, r)
	})
	write := func(token string) {
		if err := os.WriteFile(w.path("token"), []byte(token), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	w.assign("slug", "v1")
	write("expired")
	w.start("--token-file=" + w.path("token"))
	w.until("refused", func() bool { return strings.Contains(w.logText(), "the store refuses") })
	write("fresh")
	w.until("slug at v1", w.has("slug", "v1"))
	w.stop()
}

func TestAgent_HUP_MakesAPass(t *testing.T) {
	w := newHarness(t)
	w.assign("slug", "v1")
	w.start("--resync=10h")
	w.until("slug at v1", w.has("slug", "v1"))
	w.until("listening to signals", w.alive)
	if err := os.Remove(filepath.Join(w.path("host"), "slug")); err != nil {
		t.Fatal(err)
	}
	_ = w.cmd.Process.Signal(syscall.SIGHUP)
	w.until("repaired", w.has("slug", "v1"))
	w.stop()
}

// TestAgent_FiveCopies_OneRuns: one works, four say who.
func TestAgent_FiveCopies_OneRuns(t *testing.T) {
	w := newHarness(t)
	type ended struct {
		pid, code int
		said      string
	}
	results := make(chan ended, 5)
	var commands []*exec.Cmd
	for range 5 {
		cmd := exec.Command("toy", "--node=web1", "--dir="+w.path("host"), "--state-dir="+w.path("state"))
		cmd.Env = append(os.Environ(), "CONSUL_HTTP_ADDR="+w.server.URL)
		var said strings.Builder
		cmd.Stderr = &said
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		commands = append(commands, cmd)
		go func() {
			_ = cmd.Wait()
			results <- ended{cmd.Process.Pid, cmd.ProcessState.ExitCode(), said.String()}
		}()
	}
	running := map[int]bool{}
	for _, cmd := range commands {
		running[cmd.Process.Pid] = true
	}
	var losers []ended
	for range 4 {
		select {
		case e := <-results:
			losers = append(losers, e)
			delete(running, e.pid)
		case <-time.After(hang):
			t.Fatalf("only %d ended", len(losers))
		}
	}
	for pid := range running {
		for _, e := range losers {
			if e.code != 75 || !strings.Contains(e.said, fmt.Sprintf("(pid %d)", pid)) {
				t.Errorf("%d exits %d: %s; the holder is %d", e.pid, e.code, e.said, pid)
			}
		}
		if p, err := os.FindProcess(pid); err == nil {
			_ = p.Signal(syscall.SIGTERM)
		}
	}
	<-results
}
