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

	"github.com/platypus-platform/platypus/intent"
	"github.com/platypus-platform/platypus/store"
)

const hang = 2 * time.Minute // more than any of this may ever take

// harness is a store, a dashboard on it, and what a person does to both.
type harness struct {
	t       testing.TB
	store   *store.Store
	tree    intent.Tree
	data    string
	address string // of the store
	listen  string // of the dashboard
	server  server
	cmd     *exec.Cmd
	log     *os.File
}

// newHarness starts an embedded store.
func newHarness(t testing.TB) *harness {
	t.Helper()
	return newHarnessOn(t, embeddedServer(t))
}

func newHarnessOn(t testing.TB, s server) *harness {
	t.Helper()
	w := &harness{t: t, data: t.TempDir(), server: s, address: s.address(), listen: freeAddress(t)}
	w.tree, _ = intent.ParseRoot(intent.DefaultRoot)
	var err error
	if w.store, err = store.Open(store.Config{Address: w.address}); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(w.stopDashboard)
	return w
}

// startDashboard starts the program and waits until it shows the fleet.
func (w *harness) startDashboard() {
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

func (w *harness) environment() []string {
	return append(os.Environ(), "DASHBOARD_ITSELF=1", "CONSUL_HTTP_ADDR="+w.address)
}

func (w *harness) stopDashboard() {
	if w.cmd == nil {
		return
	}
	_ = w.cmd.Process.Signal(syscall.SIGTERM)
	_ = w.cmd.Wait()
	w.log.Close()
	w.cmd = nil
}

// run runs the program to its end.
func (w *harness) run(args ...string) (out string, code int) {
	cmd := exec.Command(os.Args[0], append(args, "--state-dir", filepath.Join(w.data, "other"))...)
	cmd.Env = w.environment()
	said, err := cmd.CombinedOutput()
	if cmd.ProcessState == nil {
		w.t.Fatal(err)
	}
	return string(said), cmd.ProcessState.ExitCode()
}

func (w *harness) get(path string) (code int, body string) {
	response, err := http.Get("http://" + w.listen + path)
	if err != nil {
		return 0, err.Error()
	}
	defer response.Body.Close()
	data, _ := io.ReadAll(response.Body)
	return response.StatusCode, string(data)
}

func (w *harness) until(what string, done func() bool) {
	w.t.Helper()
	for deadline := time.Now().Add(hang); time.Now().Before(deadline); time.Sleep(20 * time.Millisecond) {
		if done() {
			return
		}
	}
	said, _ := os.ReadFile(filepath.Join(w.data, "log"))
	w.t.Fatalf("never: %s\n%s", what, said)
}

func (w *harness) put(key string, value any) {
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
func (w *harness) hold(region, machine intent.Name, n int) {
	w.t.Helper()
	ledger := intent.Ledger{Entries: []intent.Entry{}}
	for i := range n {
		ledger = ledger.With(intent.Entry{VM: fmt.Sprintf("web.%d", i), Cores: 4, Memory: 64 * intent.GB, Intent: 1})
	}
	w.put(w.tree.Ledger(region, machine), ledger)
}

// furnish declares two regions with three machines each, a vm that waits, and an app that runs on one of them.
func (w *harness) furnish() {
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

// index is where the whole store stands.
func (w *harness) index() uint64 {
	w.t.Helper()
	_, index, err := w.store.List(context.Background(), "", store.Consistent)
	if err != nil {
		w.t.Fatal(err)
	}
	return index
}
