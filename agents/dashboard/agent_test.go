package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/platypus-platform/platypus/agents/internal/testhost"
	"github.com/platypus-platform/platypus/intent"
	"github.com/platypus-platform/platypus/store"
	"github.com/platypus-platform/platypus/store/embedded"
)

const hang = 2 * time.Minute // more than any of this may ever take

// TestMain lets the tests start the dashboard as a process of its own.
func TestMain(m *testing.M) {
	if os.Getenv("DASHBOARD_ITSELF") != "" {
		main()
		return
	}
	os.Exit(m.Run())
}

// world is a store, a dashboard on it, and what a person does to both.
type world struct {
	t       testing.TB
	store   *store.Store
	tree    intent.Tree
	data    string
	address string // of the store
	listen  string // of the dashboard
	stop    func() // ends the store
	cmd     *exec.Cmd
	log     *os.File
}

func newWorld(t testing.TB) *world {
	t.Helper()
	w := &world{t: t, data: t.TempDir(), address: freeAddress(t), listen: freeAddress(t)}
	w.tree, _ = intent.ParseRoot(intent.DefaultRoot)
	w.startStore()
	var err error
	if w.store, err = store.Open(store.Config{Address: w.address}); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		w.stopDashboard()
		w.stopStore()
	})
	return w
}

func freeAddress(t testing.TB) string {
	t.Helper()
	return fmt.Sprintf("127.0.0.1:%d", testhost.FreePort(t))
}

func (w *world) startStore() {
	w.t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	ready, served := make(chan string, 1), make(chan error, 1)
	go func() {
		served <- embedded.Serve(ctx, embedded.Config{Data: filepath.Join(w.data, "store"), Listen: w.address}, func(at string) { ready <- at })
	}()
	w.stop = func() { cancel(); <-served }
	select {
	case <-ready:
	case err := <-served:
		w.t.Fatal(err)
	}
}

func (w *world) stopStore() {
	if w.stop != nil {
		w.stop()
		w.stop = nil
	}
}

// startDashboard starts the program and waits until it shows the fleet.
func (w *world) startDashboard() {
	w.t.Helper()
	var err error
	if w.log, err = os.OpenFile(filepath.Join(w.data, "log"), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600); err != nil {
		w.t.Fatal(err)
	}
	w.cmd = exec.Command(os.Args[0], "--listen", w.listen, "--state-dir", filepath.Join(w.data, "state"))
	w.cmd.Env = w.environment()
	w.cmd.Stdout, w.cmd.Stderr = w.log, w.log
	if err := w.cmd.Start(); err != nil {
		w.t.Fatal(err)
	}
	w.until("the dashboard is ready", func() bool {
		code, _ := w.get("/readyz")
		return code == http.StatusOK
	})
}

func (w *world) environment() []string {
	return append(os.Environ(), "DASHBOARD_ITSELF=1", "CONSUL_HTTP_ADDR="+w.address)
}

func (w *world) stopDashboard() {
	if w.cmd == nil {
		return
	}
	_ = w.cmd.Process.Signal(syscall.SIGTERM)
	_ = w.cmd.Wait()
	w.log.Close()
	w.cmd = nil
}

// run runs the program to its end.
func (w *world) run(args ...string) (out string, code int) {
	cmd := exec.Command(os.Args[0], append(args, "--state-dir", filepath.Join(w.data, "other"))...)
	cmd.Env = w.environment()
	said, err := cmd.CombinedOutput()
	if cmd.ProcessState == nil {
		w.t.Fatal(err)
	}
	return string(said), cmd.ProcessState.ExitCode()
}

func (w *world) get(path string) (code int, body string) {
	response, err := http.Get("http://" + w.listen + path)
	if err != nil {
		return 0, err.Error()
	}
	defer response.Body.Close()
	data, _ := io.ReadAll(response.Body)
	return response.StatusCode, string(data)
}

func (w *world) until(what string, done func() bool) {
	w.t.Helper()
	for deadline := time.Now().Add(hang); time.Now().Before(deadline); time.Sleep(20 * time.Millisecond) {
		if done() {
			return
		}
	}
	said, _ := os.ReadFile(filepath.Join(w.data, "log"))
	w.t.Fatalf("never: %s\n%s", what, said)
}

func (w *world) put(key string, value any) {
	w.t.Helper()
	data, err := json.Marshal(value)
	if raw, ok := value.(string); ok {
		data = []byte(raw)
	}
	if err == nil {
		err = w.store.Put(context.Background(), key, data)
	}
	if err != nil {
		w.t.Fatal(err)
	}
}

// hold puts n vms of four cores onto a machine.
func (w *world) hold(region, machine intent.Name, n int) {
	w.t.Helper()
	ledger := intent.Ledger{Entries: []intent.Entry{}}
	for i := range n {
		ledger = ledger.With(intent.Entry{VM: fmt.Sprintf("web.%d", i), Cores: 4, Memory: 64 * intent.GB, Intent: 1})
	}
	w.put(w.tree.Ledger(region, machine), ledger)
}

// furnish declares two regions with three machines each, a vm that waits, and an app that runs on one of them.
func (w *world) furnish() {
	w.t.Helper()
	for code, place := range map[intent.Name]string{"SIN": "Singapore", "NRT": "Tokyo, Japan"} {
		w.put(w.tree.Region(code), intent.Region{Location: place, Status: "Operational"})
		for i := range 3 {
			name := intent.Name(fmt.Sprintf("metal-%d.%s.example.net", i+1, strings.ToLower(string(code))))
			w.put(w.tree.Machine(code, name), intent.Machine{Cores: 32, Memory: 2 * intent.TB, Address: string(name) + ":8500"})
		}
	}
	w.hold("SIN", "metal-1.sin.example.net", 2)
	w.put(w.tree.PlacedVM(intent.Instance{VM: "giant"}), intent.Placement{State: intent.Pending, Reason: "no machine in SIN has 33 cores free", Refused: map[string]int{"cores": 3}})
	w.put(w.tree.Alive("metal-1.sin.example.net", "setlive"), map[string]int{"pid": 1})
	w.put(w.tree.Status("setlive", "metal-1.sin.example.net"), intent.Report{Agent: "setlive", Node: "metal-1.sin.example.net", Version: "1", Converged: true,
		Subjects: map[string]intent.State{"slug": {Want: "v2", Have: "v2", Phase: "converged", Since: time.Now().Add(-time.Hour)}}})
}

// TestProgram holds the dashboard to what holds for every agent.
func TestProgram(t *testing.T) {
	w := newWorld(t)
	w.furnish()
	if out, code := w.run("--once"); code != 0 || !strings.Contains(out, "metal-1") && !strings.Contains(out, "Singapore") || !strings.HasSuffix(strings.TrimSpace(out), "</html>") {
		t.Errorf("--once: %d %s", code, out)
	}
	if out, code := w.run("--dry-run"); code != 0 || out != "" {
		t.Errorf("--dry-run: %d %s", code, out)
	}
	if out, code := w.run("--nonsense"); code != 64 {
		t.Errorf("an unknown flag: %d %s", code, out)
	}
	before := w.index()
	w.startDashboard()
	cmd := exec.Command(os.Args[0], "--listen", freeAddress(t), "--state-dir", filepath.Join(w.data, "state"))
	cmd.Env = w.environment()
	if out, _ := cmd.CombinedOutput(); cmd.ProcessState.ExitCode() != 75 || !strings.Contains(string(out), fmt.Sprint("pid ", w.cmd.Process.Pid)) {
		t.Errorf("a second one: %d %s", cmd.ProcessState.ExitCode(), out)
	}
	for path, want := range map[string]string{"/healthz": "ok", "/readyz": "ok", "/metrics": `platypus_store_up{agent="dashboard"} 1`,
		"/?region=SIN": "metal-1", "/assets/page.js": "EventSource", "/assets/page.css": "--accent"} {
		if code, body := w.get(path); code != http.StatusOK || !strings.Contains(body, want) {
			t.Errorf("%s: %d lacks %q", path, code, want)
		}
	}
	for _, path := range []string{"/nothing", "/assets/", "/assets/page.html", "/assets/../main.go"} {
		if code, body := w.get(path); code != http.StatusNotFound {
			t.Errorf("%s: %d %s", path, code, body)
		}
	}
	if after := w.index(); after != before {
		t.Errorf("the store moved from %d to %d", before, after)
	}
	w.stopStore()
	if out, code := w.run("--once"); code != 2 {
		t.Errorf("--once without a store: %d %s", code, out)
	}
	w.until("the page says that the store is away", func() bool { _, body := w.get("/"); return strings.Contains(body, "The store does not answer") })
	if _, body := w.get("/?region=SIN"); !strings.Contains(body, "metal-1") {
		t.Error("what was known is gone with the store")
	}
	began := time.Now()
	_ = w.cmd.Process.Signal(syscall.SIGTERM)
	if err := w.cmd.Wait(); err != nil || time.Since(began) > hang {
		t.Errorf("stopped after %s: %v", time.Since(began), err)
	}
	w.cmd = nil
}

// index is where the whole store stands.
func (w *world) index() uint64 {
	w.t.Helper()
	_, index, err := w.store.List(context.Background(), "", store.Consistent)
	if err != nil {
		w.t.Fatal(err)
	}
	return index
}

// TestGuard: the page is for this machine, and may load nothing from elsewhere.
func TestGuard(t *testing.T) {
	w := newWorld(t)
	w.startDashboard()
	for host, want := range map[string]int{"localhost:4000": 200, "127.0.0.1": 200, "[::1]:4000": 200, "evil.example:4000": 421, "127.0.0.1.evil.example": 421, "": 421} {
		request, err := http.NewRequest(http.MethodGet, "http://"+w.listen+"/", nil)
		if err != nil {
			t.Fatal(err)
		}
		if request.Host = host; host == "" {
			request.Host = "x"
		}
		response, err := http.DefaultClient.Do(request)
		if err != nil {
			t.Fatal(err)
		}
		response.Body.Close()
		if response.StatusCode != want {
			t.Errorf("as %q: %d, want %d", host, response.StatusCode, want)
		}
		if csp := response.Header.Get("Content-Security-Policy"); want == 200 && (!strings.HasPrefix(csp, "default-src 'none'") || strings.Contains(csp, "unsafe")) {
			t.Errorf("policy %q", csp)
		}
	}
	for _, method := range []string{http.MethodPost, http.MethodPut, http.MethodDelete} {
		request, _ := http.NewRequest(method, "http://"+w.listen+"/", strings.NewReader("{}"))
		response, err := http.DefaultClient.Do(request)
		if err != nil {
			t.Fatal(err)
		}
		response.Body.Close()
		if response.StatusCode != http.StatusMethodNotAllowed {
			t.Errorf("%s: %d", method, response.StatusCode)
		}
	}
}
