package main

import (
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"
)

// TestMain lets the tests start the dashboard as a process of its own.
func TestMain(m *testing.M) {
	if os.Getenv("DASHBOARD_ITSELF") != "" {
		main()
		return
	}
	os.Exit(m.Run())
}

// TestProgram holds the dashboard to what holds for every agent.
func TestProgram(t *testing.T) {
	w := newHarness(t)
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
	w.server.stop()
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

// TestGuard: the page is for this machine, and may load nothing from elsewhere.
func TestGuard(t *testing.T) {
	w := newHarness(t)
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
