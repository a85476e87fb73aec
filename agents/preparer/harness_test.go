package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/platypus-platform/platypus/intent"
	"github.com/platypus-platform/platypus/store/embedtest"
)

// harness is a host, a store and a web server on which the agent runs as a process that may be killed.
type harness struct {
	*testing.T
	dir   string
	api   *httptest.Server
	files *httptest.Server
	stale atomic.Pointer[http.Handler] // when set, a server of the past that answers reads which are not consistent
	slow  chan struct{}                // when set, downloads of v1 from the start stop in the middle until it is closed
	asked sync.Map                     // "GET /slug/…": how often, as *atomic.Int64
}

func newHarness(t *testing.T) *harness {
	dir, err := os.MkdirTemp("", "preparer-") // t.TempDir spells the name of the test, which is no plain path
	r := &harness{T: t, dir: dir}
	r.check(err)
	t.Cleanup(func() { os.RemoveAll(dir) })
	r.check(os.Chmod(r.dir, 0o755))
	present := embedtest.Open(t)
	r.api = embedtest.Serve(t, http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
		if stale := r.stale.Load(); stale != nil && req.Method == http.MethodGet && !req.URL.Query().Has("consistent") && strings.HasPrefix(req.URL.Path, "/v1/kv/platypus/intent/") {
			(*stale).ServeHTTP(w, req)
			return
		}
		present.ServeHTTP(w, req)
	}))
	r.files = httptest.NewServer(http.HandlerFunc(r.serve))
	t.Cleanup(func() {
		r.files.CloseClientConnections()
		r.files.Close()
	})
	r.put("nodes/web1/slug", `{"cluster":"c"}`)
	r.put("clusters/slug/c/deploy_config", fmt.Sprintf(`{"basedir":%q,"keep":1}`, r.basedir()))
	return r
}

func (r *harness) basedir() string { return filepath.Join(r.dir, "srv/slug") }

func (r *harness) check(err error) {
	r.Helper()
	if err != nil {
		r.Fatal(err)
	}
}

// serve sends artifacts with tags, so that they can be resumed.
func (r *harness) serve(w http.ResponseWriter, req *http.Request) {
	many, _ := r.asked.LoadOrStore(req.Method+" "+req.URL.Path, new(atomic.Int64))
	many.(*atomic.Int64).Add(1)
	data, err := os.ReadFile(filepath.Join(r.dir, "repo", filepath.Clean(req.URL.Path)))
	if err != nil {
		http.NotFound(w, req)
		return
	}
	w.Header().Set("ETag", `"1"`)
	if r.slow != nil && strings.HasSuffix(req.URL.Path, "_v1.tar.gz") && req.Header.Get("Range") == "" {
		w.Header().Set("Content-Length", fmt.Sprint(len(data)))
		_, _ = w.Write(data[:len(data)/2])
		_ = http.NewResponseController(w).Flush()
		select {
		case <-r.slow:
		case <-req.Context().Done():
		}
		return
	}
	http.ServeContent(w, req, "", time.Time{}, bytes.NewReader(data))
}

func (r *harness) put(key, value string) {
	r.Helper()
	req, err := http.NewRequest(http.MethodPut, r.api.URL+"/v1/kv/platypus/intent/"+key, strings.NewReader(value))
	r.check(err)
	resp, err := http.DefaultClient.Do(req)
	r.check(err)
	resp.Body.Close()
}

// publish packs versions with their digests beside them.
func (r *harness) publish(versions ...string) {
	r.Helper()
	for _, v := range versions {
		data, err := packed(".tar.gz", v, "#!/bin/sh\nexec sleep 1000\n")
		r.check(err)
		path := filepath.Join(r.dir, "repo/slug/slug_"+v+".tar.gz")
		r.check(os.MkdirAll(filepath.Dir(path), 0o755))
		r.check(os.WriteFile(path, data, 0o644))
		out, err := exec.Command("sha256sum", path).Output()
		r.check(err)
		r.check(os.WriteFile(path+".sha256", out, 0o644))
	}
}

// replace puts another content in place of a file that the agent may be reading just now: it finds the one or the
// other.
func (r *harness) replace(path string, data []byte) {
	r.Helper()
	r.check(os.WriteFile(path+".new", data, 0o644))
	r.check(os.Rename(path+".new", path))
}

// agent is the agent as a process: this very test binary, which TestMain turns into it.
func (r *harness) agent(wrapper []string, args ...string) *exec.Cmd {
	self, err := os.Executable()
	r.check(err)
	argv := append(append(wrapper, self), args...)
	cmd := exec.Command(argv[0], argv[1:]...)
	cmd.Env = append(os.Environ(), "PLATYPUS_TEST_PROGRAM=preparer", "CONSUL_HTTP_ADDR="+r.api.URL, "PLATYPUS_NODE=web1",
		"PLATYPUS_REPO="+r.files.URL, "PLATYPUS_STATE_DIR="+filepath.Join(r.dir, "state"), "GOMAXPROCS=1")
	return cmd
}

// hang is what nothing here may take unless something hangs.
const hang = 2 * time.Minute

// eventually waits until ok.
func (r *harness) eventually(what string, ok func() bool) {
	r.Helper()
	for end := time.Now().Add(hang); !ok(); time.Sleep(10 * time.Millisecond) {
		if time.Now().After(end) {
			r.Fatalf("still not so after %s: %s", hang, what)
		}
	}
}

// state is what the agent's report says of the app.
func (r *harness) state() (s intent.State) {
	resp, err := http.Get(r.api.URL + "/v1/kv/platypus/status/preparer/web1?raw")
	r.check(err)
	defer resp.Body.Close()
	var report intent.Report
	_ = json.NewDecoder(resp.Body).Decode(&report) // absent before the first report
	return report.Subjects["slug"]
}

// run starts the agent for good; the test ends it.
func (r *harness) run(args ...string) (cmd *exec.Cmd, out *bytes.Buffer, ended chan error) {
	cmd, out, ended = r.agent(nil, args...), &bytes.Buffer{}, make(chan error, 1)
	cmd.Stdout, cmd.Stderr = out, out
	r.check(cmd.Start())
	go func() { ended <- cmd.Wait(); close(ended) }()
	r.Cleanup(func() { _ = cmd.Process.Kill(); <-ended })
	return cmd, out, ended
}

// TestFetch_Slow_DelaysNoOtherVersion lets the download of one version hang. The other version comes all the same, the
// report says how far the slow one is, the agent stops in time, and the next one asks only for the rest.
func TestFetch_Slow_DelaysNoOtherVersion(t *testing.T) {
	r := newHarness(t)
	r.publish("v1", "v2")
	r.slow = make(chan struct{})
	r.put("clusters/slug/c/config", `{"versions":{"v1":"active","v2":"prep"}}`)
	cmd, out, ended := r.run()
	r.eventually("v2 is installed", func() bool { return r.state().Have == "v2" })
	r.eventually("the report says how far v1 is", func() bool {
		s := r.state()
		return s.Phase == "working" && strings.Contains(s.Reason, "v1 fetching 4") && strings.Contains(s.Reason, "% of ")
	})
	r.check(cmd.Process.Signal(syscall.SIGTERM))
	select {
	case err := <-ended:
		if err != nil {
			t.Errorf("ends with %v: %s", err, out)
		}
	case <-time.After(hang):
		t.Fatal("does not stop")
	}
	// The server still sends only half of what is asked for from the start: success means that it was resumed.
	text, err := r.agent(nil, "--once").CombinedOutput()
	if err != nil {
		t.Errorf("%v: %s", err, text)
	}
	if got := fmt.Sprint(r.requireUsable("resumed")); got != "[slug_v1 slug_v2]" {
		t.Errorf("installs are %s", got)
	}
}

// TestFault_Repeated_LoggedOnce leaves an artifact damaged for a while. The agent says so once, goes on trying, and
// installs it when it is whole.
func TestFault_Repeated_LoggedOnce(t *testing.T) {
	r := newHarness(t)
	r.publish("v2")
	path := filepath.Join(r.dir, "repo/slug/slug_v2.tar.gz")
	good, err := os.ReadFile(path)
	r.check(err)
	r.check(os.WriteFile(path, append([]byte("x"), good...), 0o644))
	r.put("clusters/slug/c/config", `{"versions":{"v2":"active"}}`)
	cmd, out, ended := r.run()
	r.eventually("two tries have failed", func() bool {
		s := r.state()
		return s.Phase == "failed" && strings.Contains(s.Reason, "digest_mismatch") && s.Attempts >= 2
	})
	r.replace(path, good)
	r.eventually("it is installed", func() bool { return r.state().Phase == "converged" })
	r.check(cmd.Process.Signal(syscall.SIGTERM))
	<-ended
	if n := strings.Count(out.String(), "WARN  ["); n != 2 || !strings.Contains(out.String(), "repeated ") {
		t.Errorf("%d warnings, want one and a count: %s", n, out)
	}
}
